"""A network with its pretrained weights, from the settings of a run."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxcolor.data.image_files import Size
from jaxcolor.errors import UserError
from jaxcolor.models.backbones import BACKBONES
from jaxcolor.models.segmentation import SegmentationNet, Stage
from jaxcolor.pretrained.deeplabv3 import Pretrained, describe, load_pretrained
from jaxcolor.segmentation.config import SegmentConfig

EXAMPLE = (1, 64, 64, 3)  # images to initialize with


def build_model(config: SegmentConfig, classes: int) -> SegmentationNet:
    """Return the network that the settings describe. Raises `UserError` for an unknown backbone."""
    if config.backbone not in BACKBONES:
        raise UserError(f"there is no backbone {config.backbone!r}: choose from {', '.join(BACKBONES)}")
    stride = config.output_stride or default_stride(config.backbone, config.head)
    return SegmentationNet(config.backbone, classes, stride, config.aux, jnp.dtype(config.dtype), config.head)


def default_stride(backbone: str, head: str) -> int:
    """Return the output stride of a backbone: a pyramid takes the features at a stride of 32, too."""
    return 32 if head == "fpn" else BACKBONES[backbone].output_stride


def load_variables(model: SegmentationNet, config: SegmentConfig) -> Pretrained:
    """Return the variables of the network: pretrained, or initialized if the file lacks them.

    Prints what the file of weights holds.
    """
    pretrained = load_pretrained(model.architecture, variable_shapes(model), config.weights, model.decoder)
    if config.train == "last" and pretrained.facts["head"] == "new":
        raise UserError(
            f"{pretrained.facts['file']} has no weights for --head {config.head}, and a new head must be "
            "trained: choose --train head, or weights that have this head"
        )
    print(describe(pretrained.facts), flush=True)
    return Pretrained(with_initialized(model, pretrained.variables, config.seed), pretrained.facts)


def check_weights(facts: Mapping[str, Any], recorded: Mapping[str, Any], run: Path) -> None:
    """Raise `UserError` if a run was trained on another file of pretrained weights."""
    if facts["sha256"] != recorded["sha256"]:
        raise UserError(
            f"{run} was trained on other weights than {facts['file']}: give the file {recorded['file']} "
            "with --weights"
        )


@cache
def variable_shapes(model: SegmentationNet) -> dict[str, Any]:
    """Return the shapes and dtypes of the network's variables."""
    return dict(jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(EXAMPLE)))


def with_initialized(model: SegmentationNet, variables: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return `variables` with every missing leaf, which is a `ShapeDtypeStruct`, initialized.

    Only the missing leaves are computed: random numbers for all of a ResNet-101 take half a minute to
    compile.
    """
    leaves = flatten_dict(dict(variables))
    missing = {path for path, leaf in leaves.items() if isinstance(leaf, jax.ShapeDtypeStruct)}

    @jax.jit
    def initialize(key: jax.Array) -> dict[tuple[str, ...], jax.Array]:
        all_leaves = flatten_dict(dict(model.init(key, jnp.zeros(EXAMPLE))))
        return {path: leaf for path, leaf in all_leaves.items() if path in missing}

    new = initialize(jax.random.key(seed)) if missing else {}
    return jax.tree.map(jnp.asarray, unflatten_dict(leaves | new))


@cache
def feature_shapes(model: SegmentationNet, size: Size, after: Stage) -> tuple[tuple[int, int, int], ...]:
    """Return rows, columns and channels of the features of an image of `size` (height, width)."""
    images = jax.ShapeDtypeStruct((1, *size, 3), jnp.float32)

    def features(variables: Any, images: jax.Array) -> tuple[jax.Array, ...]:
        return model.apply(variables, images, after=after, method="features")  # type: ignore[return-value]

    return tuple(array.shape[1:] for array in jax.eval_shape(features, variable_shapes(model), images))


@cache
def logits_size(model: SegmentationNet, size: Size) -> Size:
    """Return rows and columns of the logits of an image of `size` (height, width)."""
    images = jax.ShapeDtypeStruct((1, *size, 3), jnp.float32)
    _, rows, columns, _ = jax.eval_shape(model.apply, variable_shapes(model), images).shape
    return rows, columns
