"""Depthwise convolutions, fast on a CPU: a sum of shifted images, which XLA computes in one pass."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

ImageArray = Float[Array, "batch height width channel"]
Kernel = Float[Array, "k k 1 channel"]
Padding = tuple[tuple[int, int], tuple[int, int]]


def convolve_depthwise(x: ImageArray, kernel: Kernel, stride: int, padding: Padding, dilation: int) -> Array:
    """Each channel convolved by itself, with its k×k weights."""
    if jax.default_backend() == "cpu":
        return convolve_by_shifts(x, kernel, stride, padding, dilation)
    return plain_depthwise(x, kernel, stride, padding, dilation)


def plain_depthwise(x: ImageArray, kernel: Kernel, stride: int, padding: Padding, dilation: int) -> Array:
    """As one grouped convolution, which a GPU's library knows, and XLA takes a long time for on a CPU."""
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=padding,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


def convolve_by_shifts(x: ImageArray, kernel: Kernel, stride: int, padding: Padding, dilation: int) -> Array:
    """The same as a sum of shifted images, each times its tap."""
    size = kernel.shape[0]
    reach = dilation * (size - 1)
    # The barrier keeps XLA from computing the image again for each tap.
    x = lax.optimization_barrier(jnp.pad(x, ((0, 0), *padding, (0, 0))))
    rows, columns = ((length - reach - 1) // stride + 1 for length in x.shape[1:3])
    out = jnp.zeros((), x.dtype)
    for row in range(size):
        for column in range(size):
            top, left = dilation * row, dilation * column
            shifted = x[
                :,
                top : top + (rows - 1) * stride + 1 : stride,
                left : left + (columns - 1) * stride + 1 : stride,
            ]
            out = out + shifted * kernel[row, column, 0]
    return out
