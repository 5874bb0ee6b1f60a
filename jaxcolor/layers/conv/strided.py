"""Convolutions with stride 2 and transposed convolutions, fast on a CPU: with 2×2 squares as channels.

A strided convolution halves an image. Each output pixel stands for a square of four input pixels. With these
as channels it becomes a convolution with stride 1 and fewer taps. A transposed convolution doubles an image.
Each input pixel stands for a square of four output pixels, which are computed as four times the features.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jaxcolor.layers.conv.cpu import convolve_padded, parts_of
from jaxcolor.layers.conv.plain import Images, Kernel, Output
from jaxcolor.layers.conv.squares import cut, join, spread
from jaxcolor.layers.fusion import Squares, note_source


def conv2d(x: Images, kernel: Kernel, bias: Float[Array, " out_channels"]) -> Output:
    """`plain.conv2d` with stride 2, for images with even sides."""
    squares = cut(x.astype(kernel.dtype), 0).pixels
    squares = squares.reshape(*squares.shape[:3], -1)
    along = jnp.asarray(meetings(len(kernel)), kernel.dtype)
    weights = jnp.einsum("uat,vbs,tsio->uvabio", along, along, kernel)
    weights = lax.optimization_barrier(weights.reshape(*weights.shape[:2], -1, kernel.shape[-1]))
    before, after = reach(len(kernel))
    return convolve_padded(squares, weights, before, after) + bias


def conv_transpose2d(x: Images, kernel: Kernel, bias: Float[Array, " out_channels"]) -> Output:
    """`plain.conv_transpose2d`, computed from the parts of `x` if it is a concatenation."""
    arrays = parts_of(x)
    ends = np.cumsum([array.shape[-1] for array in arrays])
    after, before = reach(len(kernel))
    out = jnp.tile(bias, 4)
    for array, part in zip(arrays, jnp.split(kernel, ends[:-1], axis=2), strict=True):
        weights = spread(part, meetings(len(kernel))[::-1])
        out = out + convolve_padded(array.astype(kernel.dtype), weights, before, after)
    squares = Squares(out.reshape(*out.shape[:3], 4, -1), offset=0)
    return note_source(join(squares), squares)


def reach(taps: int) -> tuple[int, int]:
    """Return how many squares a kernel reaches before and after the square of its middle tap."""
    return (taps // 2 + 1) // 2, taps // 2 // 2


def meetings(taps: int) -> Float[np.ndarray, "squares 2 {taps}"]:
    """Return [square, pixel of a square, tap]: 1 where a pixel meets a tap along an axis."""
    before, after = reach(taps)
    pattern = np.zeros((before + 1 + after, 2, taps), np.float32)
    for square in range(len(pattern)):
        for pixel in range(2):
            tap = 2 * (square - before) + pixel + taps // 2
            if 0 <= tap < taps:
                pattern[square, pixel, tap] = 1
    return pattern
