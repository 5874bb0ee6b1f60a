"""The layers of a network and their sizes, recorded while JAX traces the network."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array

from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.colorization.predictor import build_network
from jaxcolor.data.classes import VOC_CLASSES
from jaxcolor.layers import Conv2d
from jaxcolor.layers.conv_norm import ConvNorm
from jaxcolor.models.cnn import Block
from jaxcolor.models.deeplabv3 import BACKBONES, DeepLabV3

COUNTS = ("weights", "outputs", "connections", "multiply_adds")


class Layer(NamedTuple):
    """A convolution with its bias, pooling or upsampling, and BatchNorm. The numbers are per image."""

    name: str  # path in the parameters
    kernel_size: int
    channels_in: int  # input channels per output; 1 if the convolution is depthwise
    channels_out: int
    rows: int  # of the convolution's outputs
    columns: int
    weights: int  # all parameters
    outputs: int  # after pooling or upsampling
    connections: int  # kernel_size² · channels_in · rows · columns · channels_out
    multiply_adds: int  # connections that do not lead to padding


def trace_layers(model: nn.Module, shape: tuple[int, int, int], **options: Any) -> list[Layer]:
    """Return the layers in the order of their calls, for an image [height, width, channel].

    `options` are arguments of the model. Nothing is computed.
    """
    layers: list[Layer] = []

    def record(method: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any], call: Any) -> Any:
        result = method(*args, **named)
        if isinstance(call.module, Conv2d | ConvNorm | nn.Conv):
            if call.method_name == "__call__":
                layers.append(_layer(call.module, args[0], result))
            elif call.method_name == "without_bias":
                layers.append(_layer(call.module, args[0], result[0]))
        elif isinstance(call.module, Block) and call.method_name == "__call__":
            around: dict[str, Any] = _sizes(call.module, result)
            layers[-1] = layers[-1]._replace(**around)
        return result

    def initialize(key: Array, images: Array) -> Any:
        return model.init(key, images, **options)

    with nn.intercept_methods(record):
        jax.eval_shape(initialize, jax.random.key(0), jax.ShapeDtypeStruct((1, *shape), jnp.float32))
    return layers


def _layer(module: nn.Module, x: Array, out: Array) -> Layer:
    """Describe a convolution with input `x` and output `out`, both [1, rows, columns, channel]."""
    size, _, ins, outs = module.variables["params"]["kernel"].shape
    rows, columns = out.shape[1:3]
    inside = _pairs_inside(module, size, x.shape[1], rows) * _pairs_inside(module, size, x.shape[2], columns)
    return Layer(
        kernel_size=size,
        channels_in=ins,
        channels_out=outs,
        rows=rows,
        columns=columns,
        connections=size**2 * ins * rows * columns * outs,
        multiply_adds=inside * ins * outs,
        **_sizes(module, out),
    )


def _sizes(module: nn.Module, out: Array) -> dict[str, Any]:
    """Return name, weights and outputs of a module."""
    weights = sum(leaf.size for leaf in jax.tree.leaves(module.variables["params"]))
    return {"name": "/".join(module.path), "weights": weights, "outputs": prod(out.shape[1:])}


def _pairs_inside(module: nn.Module, size: int, length: int, positions: int) -> int:
    """Count the pairs of output position and tap that meet a pixel, along an axis of `length` pixels."""
    match module:
        case ConvNorm():
            stride, dilation, padding = (
                module.stride,
                module.dilation,
                module.padding_before_and_after(length)[0],
            )
        case Conv2d():
            stride, dilation, padding = 1, module.dilation, module.dilation * (size // 2)
        case _:
            assert size == 1, "Flax's own convolution is the last one, without padding"
            stride, dilation, padding = 1, 1, 0
    return sum(
        0 <= stride * position + dilation * tap - padding < length
        for position in range(positions)
        for tap in range(size)
    )


def trace(name: str, size: int) -> list[Layer]:
    """Return the layers of a network with default settings, for images of `size`² pixels."""
    if name in BACKBONES:
        model = DeepLabV3(name, len(VOC_CLASSES), BACKBONES[name].output_stride)
        return trace_layers(model, (size, size, 3))
    return trace_layers(build_network(ColorizeConfig(model=name)), (size, size, 1))


def total(layers: Sequence[Layer]) -> dict[str, int]:
    """Return the sums of weights, outputs, connections and multiply-adds."""
    return {count: sum(getattr(layer, count) for layer in layers) for count in COUNTS}
