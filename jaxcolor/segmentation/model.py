"""A network with its pretrained weights, from the settings of a run."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from jaxcolor.data.image_files import Size
from jaxcolor.errors import UserError
from jaxcolor.models.backbones import BACKBONES
from jaxcolor.models.segmentation import SegmentationNet, Stage
from jaxcolor.models.variables import variable_shapes, with_initialized
from jaxcolor.pretrained.networks import Pretrained, describe, load_pretrained
from jaxcolor.segmentation.config import SegmentConfig


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
