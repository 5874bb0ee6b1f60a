"""The networks. `MODELS` lists those for colorization; `SegmentationNet` segments."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from jaxcolor.errors import UserError
from jaxcolor.models.cnn import CNN
from jaxcolor.models.resunet import ResUNet
from jaxcolor.models.segmentation import DeepLabV3, SegmentationNet
from jaxcolor.models.strided import ConvTransposeNet, StridedUNet
from jaxcolor.models.unet import DilatedUNet, UNet

__all__ = [
    "CNN", "MODELS", "ConvTransposeNet", "DeepLabV3", "DilatedUNet", "ResUNet",
    "SegmentationNet", "StridedUNet", "UNet", "apply_function", "build_model",
]  # fmt: skip

# The choices of `--model`, in every script. A network of your own is one more line; docs/own-model.md
# shows how. It is a Flax module with a field `colors` and
#     __call__(x, *, train, valid): [batch, height, width, channel] → logits [batch, height, width, colors]
# where `train` and `valid` may be left out.
MODELS: dict[str, type[nn.Module]] = {
    "cnn": CNN,
    "unet": UNet,
    "dunet": DilatedUNet,
    "strided-unet": StridedUNet,
    "conv-transpose": ConvTransposeNet,
    "resunet": ResUNet,
}


def build_model(
    name: str, dtype: DTypeLike, settings: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
) -> nn.Module:
    """Return the network of that name in `MODELS`.

    `settings` are its fields; those with the value None keep the network's default. A setting that the
    network does not have must have its value in `defaults`. `dtype` is the dtype of the arithmetic, if the
    network has such a field. Raises `UserError` for an unknown name or setting.
    """
    if name not in MODELS:
        raise UserError(f"there is no network {name!r}: choose from {', '.join(MODELS)}{_HOW_TO_ADD}")
    network = MODELS[name]
    fields = {field.name for field in dataclasses.fields(network)}
    for setting, value in settings.items():
        if setting not in fields and value != (defaults or {}).get(setting):
            option = setting.replace("_", "-")
            raise UserError(f"the network {name} has no setting --{option}: leave the option out")
    given = {setting: v for setting, v in settings.items() if setting in fields and v is not None}
    return network(**given, **({"dtype": jnp.dtype(dtype)} if "dtype" in fields else {}))


_HOW_TO_ADD = "; the file that adds a network of your own to jaxcolor.models.MODELS must be imported first"


def apply_function(model: nn.Module) -> Callable[..., Any]:
    """Return `model.apply`, which drops the arguments `train` and `valid` if the network lacks them."""
    parameters = inspect.signature(type(model).__call__).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return model.apply
    left_out = {"train", "valid"} - parameters.keys()
    if not left_out:
        return model.apply

    def apply(*args: Any, **kwargs: Any) -> Any:
        return model.apply(*args, **{name: v for name, v in kwargs.items() if name not in left_out})

    return apply
