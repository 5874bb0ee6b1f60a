"""Convolutions with stride, padding and dilation, dense and depthwise, as segmentation networks need them.

On a CPU two of them are computed tap by tap, which is exact:

- A dilated ("atrous") kernel that reaches about as far as the image multiplies mostly padding. With rate 24
  on a 28×28 map only the middle tap sees all of the map; the others see 14 % or 2 % of it:

      ·  ·  ·        Each tap multiplies the part of the map that it sees, and
      ·  ■  ·        no zeros.
      ·  ·  ·

- A depthwise convolution is a sum of shifted images, each times its tap. XLA computes that in one pass.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxcolor.layers.conv import plain
from jaxcolor.layers.conv.plain import Images, Kernel, Output, Padding

TAP_BY_TAP_BELOW = 0.5  # share of the multiplications that are not with padding


def convolve(x: Images, kernel: Kernel, stride: int, padding: Padding, dilation: int) -> Output:
    """Return the convolution; `stride` and `dilation` are the steps between outputs and between taps."""
    size = kernel.shape[0]
    keeps_size = stride == 1 and padding == ((dilation * (size // 2),) * 2,) * 2
    if (
        jax.default_backend() == "cpu"
        and keeps_size
        and share_inside(size, dilation, x.shape) < TAP_BY_TAP_BELOW
    ):
        return convolve_by_taps(x, kernel, dilation)
    return plain.convolve(x, kernel, stride, padding, dilation)


def convolve_depthwise(
    x: Images, kernel: Float[Array, "k k 1 channel"], stride: int, padding: Padding, dilation: int
) -> Output:
    """Return the convolution of each channel with its own k×k weights."""
    if jax.default_backend() == "cpu":
        return depthwise_by_shifts(x, kernel, stride, padding, dilation)
    return plain.convolve(x, kernel, stride, padding, dilation, groups=x.shape[-1])


def share_inside(size: int, dilation: int, shape: tuple[int, ...]) -> float:
    """Return the share of all (output pixel, tap) pairs in which the tap lies inside of the image."""
    share = 1.0
    for length in shape[1:3]:
        share *= sum(max(length - abs(offset), 0) for offset in _offsets(size, dilation)) / (size * length)
    return share


def convolve_by_taps(x: Images, kernel: Kernel, dilation: int) -> Output:
    """Return the convolution with stride 1 that keeps the size, as a sum of one product per tap."""
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
    """Return the distances from a pixel to the taps that it sees, along an axis."""
    return [dilation * (tap - size // 2) for tap in range(size)]


def depthwise_by_shifts(
    x: Images, kernel: Float[Array, "k k 1 channel"], stride: int, padding: Padding, dilation: int
) -> Output:
    """Return the depthwise convolution as a sum of shifted images."""
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
