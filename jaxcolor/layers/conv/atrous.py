"""Dilated ("atrous") convolutions, fast on a CPU: each tap on the part of the image that it touches.

Where a kernel reaches about as far as the image, most of what a tap sees is padding: at rate 24 on a map of
28×28 only the middle tap sees all of it, the others 14 % or 2 %. One product a tap, of its part alone, leaves
the multiplications with zeros out.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

ImageArray = Float[Array, "batch height width in_channels"]
Kernel = Float[Array, "k k in_channels out_channels"]
Output = Float[Array, "batch rows columns out_channels"]

WORTHWHILE = 0.5  # the part of its multiplications below which a convolution is taken tap by tap


def convolve(
    x: ImageArray,
    kernel: Kernel,
    stride: int,
    padding: tuple[tuple[int, int], tuple[int, int]],
    dilation: int,
) -> Output:
    """The convolution with these steps between outputs and between taps, and zeros around the image."""
    size = kernel.shape[0]
    keeps_size = stride == 1 and padding == ((dilation * (size // 2),) * 2,) * 2
    if jax.default_backend() == "cpu" and keeps_size and touched(size, dilation, x.shape) < WORTHWHILE:
        return convolve_by_taps(x, kernel, dilation)
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=padding,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def touched(size: int, dilation: int, shape: tuple[int, ...]) -> float:
    """The part of the taps of a convolution that keeps the size which lie inside of the image."""
    part = 1.0
    for length in shape[1:3]:
        part *= sum(max(length - abs(offset), 0) for offset in _offsets(size, dilation)) / (size * length)
    return part


def convolve_by_taps(x: ImageArray, kernel: Kernel, dilation: int) -> Output:
    """The same, for stride 1 and a padding that keeps the size: a sum of products, one a tap."""
    _, height, width, _ = x.shape
    out = jnp.zeros((), x.dtype)
    for row, down in enumerate(_offsets(len(kernel), dilation)):
        for column, right in enumerate(_offsets(len(kernel), dilation)):
            if abs(down) >= height or abs(right) >= width:
                continue  # this tap sees nothing but padding
            seen = x[:, max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)]
            # Without the barrier XLA computes the product again for each pixel that it is added to.
            product = lax.optimization_barrier(seen @ kernel[row, column])
            around = [(max(-offset, 0), max(offset, 0)) for offset in (down, right)]
            out = out + jnp.pad(product, ((0, 0), *around, (0, 0)))
    return out


def _offsets(size: int, dilation: int) -> list[int]:
    """How far from a pixel the taps lie that it sees, along an axis."""
    return [dilation * (tap - size // 2) for tap in range(size)]
