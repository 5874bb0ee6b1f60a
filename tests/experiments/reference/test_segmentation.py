"""Parity with PyTorch: jaxcolor reads weight files that PyTorch wrote, and both networks compute the same.

`pytest -n 0 -s` prints the largest difference of each network, which docs/differences.md has.
"""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from flax import linen as nn
from reference import segmentation as reference

from jaxcolor.layers import resize_bilinear
from jaxcolor.models.backbones import BACKBONES
from jaxcolor.models.segmentation import SegmentationNet
from jaxcolor.pretrained.networks import load_pretrained

TOLERANCE = 1e-4  # of the largest activation
SIZES = ((224, 224), (193, 257))  # of images


def jaxcolor_stages(model: SegmentationNet, variables: Any, images: np.ndarray) -> dict[str, np.ndarray]:
    """Return the outputs of jaxcolor's stages by name."""

    def run(variables: Any, x: jax.Array) -> dict[str, jax.Array]:
        logits, state = model.apply(
            variables,
            x,
            mutable=["intermediates"],
            capture_intermediates=lambda m, _: isinstance(m, nn.Module),
        )
        outputs = state["intermediates"]
        stages = outputs["backbone"]["__call__"][0]
        found = {f"stage{number}": stage for number, stage in enumerate(stages, 1)}
        found |= {
            name: child["__call__"][0] for name, child in outputs["head"].items() if "__call__" in child
        }
        found["out"] = resize_bilinear(logits, (x.shape[1], x.shape[2]))
        return found

    return {name: np.asarray(out) for name, out in jax.jit(run)(variables, images).items()}


def auxiliary_logits(model: SegmentationNet, variables: Any, images: np.ndarray) -> np.ndarray:
    """Return the logits of the auxiliary head at the size of the images. Only training uses them."""

    def run(net: Any, x: jax.Array) -> jax.Array:
        level = net.backbone(x, train=False)[BACKBONES[net.architecture].auxiliary]
        features = net.aux_head.features([level], train=False)
        return resize_bilinear(net.aux_head.classifier(features), (x.shape[1], x.shape[2]))

    return np.asarray(jax.jit(nn.apply(run, model))(variables, images))


def check_stages(ours: dict[str, np.ndarray], theirs: dict[str, Any], names: Iterable[str]) -> None:
    """Compare the outputs of the stages with these names."""
    largest = 0.0
    for name in names:
        expected = theirs[name].numpy().transpose(0, 2, 3, 1)
        assert ours[name].shape == expected.shape
        difference = np.abs(ours[name] - expected).max() / np.abs(expected).max()
        assert difference < TOLERANCE, f"{name}: {difference:.1e} of the largest activation"
        largest = max(largest, difference)
    print(f"\n{len(theirs)} stages, largest difference {largest:.1e} of the largest activation")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "backbone", "zipped"),
    [
        ("deeplabv3", "resnet50", False), ("deeplabv3", "resnet101", True),
        ("deeplabv3", "mobilenet-v3-large", True), ("lraspp", "mobilenet-v3-large", False),
        ("fcn", "resnet50", True), ("fcn", "resnet101", True),
    ],
)  # fmt: skip
def test_all_stages_agree_with_torchvision(head: str, backbone: str, zipped: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    aux = head != "lraspp"
    theirs = reference.build_segmentation(head, backbone, aux=aux).eval()
    reference.randomize_statistics(theirs)
    torch.save(theirs.state_dict(), tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    model = SegmentationNet(backbone, 21, BACKBONES[backbone].output_stride, aux, decoder=head)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    zeros = jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), dict(shapes))
    variables = load_pretrained(backbone, zeros, tmp_path / "w.pth", head).variables
    for size in SIZES:
        images = np.random.default_rng(0).normal(size=(1, *size, 3)).astype(np.float32)
        expected = reference.stage_outputs(theirs, torch.from_numpy(images.transpose(0, 3, 1, 2)))
        found = jaxcolor_stages(model, variables, images)
        if aux:
            found["aux"] = auxiliary_logits(model, variables, images)
        check_stages(found, expected, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2",
        "resnet18", "resnet34", "resnet50", "resnet101", "mobilenet-v3-large",
    ],
)  # fmt: skip
def test_all_stages_of_classifiers_agree_with_pytorch(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = reference.build_classifier(name).eval()
    reference.randomize_statistics(theirs)
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    model = SegmentationNet(name, 21, 16)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    zeros = jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), dict(shapes))
    variables = jax.tree.map(jnp.asarray, load_pretrained(name, zeros, tmp_path / "w.pth").variables)
    # PyTorch's classifiers are not dilated, so compare backbones with their original strides.
    backbone: Any = BACKBONES[name].build(32, jnp.float32)
    of_backbone = {collection: tree["backbone"] for collection, tree in variables.items()}
    apply = jax.jit(partial(backbone.apply, train=False))
    for size in SIZES:
        images = np.random.default_rng(0).normal(size=(1, *size, 3)).astype(np.float32)
        found = reference.stage_outputs(theirs, torch.from_numpy(images.transpose(0, 3, 1, 2)))
        ours = apply(of_backbone, images)
        check_stages({f"stage{n}": np.asarray(out) for n, out in enumerate(ours, 1)}, found, found)
