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
from jaxcolor.layers import BatchNorm, Conv2d, ConvTranspose2d
from jaxcolor.layers.conv_norm import ConvNorm
from jaxcolor.models.backbones import BACKBONES
from jaxcolor.models.cnn import Block
from jaxcolor.models.segmentation import DeepLabV3
from jaxcolor.models.strided import StridedBlock

COUNTS = ("weights", "outputs", "connections", "multiply_adds")


class Layer(NamedTuple):
    """A convolution with its bias, pooling or upsampling, and BatchNorm. The numbers are per image.

    Rows and columns are those of the convolution's outputs; of a transposed convolution, those of its inputs.
    """

    name: str  # path in the parameters
    kernel_size: int
    channels_in: int  # input channels per output; 1 if the convolution is depthwise
    channels_out: int
    rows: int
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
        module = call.module
        if isinstance(module, Conv2d | ConvTranspose2d | ConvNorm | nn.Conv):
            if call.method_name == "__call__":
                layers.append(_layer(module, args[0], result))
            elif call.method_name == "without_bias":
                layers.append(_layer(module, args[0], result[0]))
        elif isinstance(module, Block | StridedBlock) and call.method_name == "__call__":
            around: dict[str, Any] = _sizes(module, result)
            layers[-1] = layers[-1]._replace(**around)
        elif (
            isinstance(module, BatchNorm | nn.BatchNorm)
            and call.method_name == "__call__"
            and not isinstance(module.parent, ConvNorm)  # which counts its own
            and layers
        ):
            layers[-1] = layers[-1]._replace(weights=layers[-1].weights + _weights(module))
        return result

    def initialize(key: Array, images: Array) -> Any:
        return model.init(key, images, **options)

    with nn.intercept_methods(record):
        jax.eval_shape(initialize, jax.random.key(0), jax.ShapeDtypeStruct((1, *shape), jnp.float32))
    return layers


def _layer(module: nn.Module, x: Array, out: Array) -> Layer:
    """Describe a convolution with input `x` and output `out`, both [1, rows, columns, channel]."""
    size, _, ins, outs = module.variables["params"]["kernel"].shape
    rows, columns = (x if isinstance(module, ConvTranspose2d) else out).shape[1:3]
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
    return {"name": "/".join(module.path), "weights": _weights(module), "outputs": prod(out.shape[1:])}


def _weights(module: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(module.variables.get("params", {})))


def _pairs_inside(module: nn.Module, size: int, length: int, positions: int) -> int:
    """Count the pairs of position and tap that meet a pixel, along an axis of `length` pixels.

    The pixels are those of the input; of a transposed convolution, those of the output.
    """
    match module:
        case ConvNorm():
            stride, dilation, padding = (
                module.stride,
                module.dilation,
                module.padding_before_and_after(length)[0],
            )
        case Conv2d():
            stride, dilation, padding = module.stride, module.dilation, module.dilation * (size // 2)
        case ConvTranspose2d():
            stride, dilation, padding, length = 2, 1, size // 2, 2 * length
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
