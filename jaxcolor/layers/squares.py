"""Convolutions whose output is cut into 2×2 squares, the four pixels of a square being channels.

The four pixels of a square see nearly the same of the input, so that a 3×3 convolution becomes one matrix
product with four times the features: of windows of 4×4 pixels, one a square; or, where the input is an
upsampled picture, of windows of 2×2 of its small pixels. There equal neighbours meet one weight, the sum
of theirs, which takes 2.25 times fewer multiplications. For that the squares begin one pixel outside of
the picture, so that each lies between four small pixels.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jaxcolor.layers.resize import Part, Squares, Upsampled

Kernel = Float[Array, "3 3 in_channels out_channels"]

# [pixel of a window, pixel of a square, tap]: which weights of an axis meet where.
OF_PICTURE = np.asarray(
    [
        [[1, 0, 0], [0, 0, 0]],
        [[0, 1, 0], [1, 0, 0]],
        [[0, 0, 1], [0, 1, 0]],
        [[0, 0, 0], [0, 0, 1]],
    ],
    np.float32,
)
OF_UPSAMPLED = np.asarray([[[1, 1, 0], [1, 0, 0]], [[0, 0, 1], [0, 1, 1]]], np.float32)


def convolve_to_squares(
    parts: Sequence[Part], kernel: Kernel, bias: Float[Array, " out_channels"] | None
) -> Squares:
    """The 3×3 convolution of pictures of few channels and of upsampled ones, side by side."""
    offset = int(any(isinstance(part, Upsampled) for part in parts))
    channels = [jax.tree.leaves(part)[0].shape[-1] for part in parts]
    kernels = jnp.split(kernel, np.cumsum(channels)[:-1], axis=2)
    weights = [
        spread(part_kernel, OF_UPSAMPLED if isinstance(part, Upsampled) else OF_PICTURE)
        for part, part_kernel in zip(parts, kernels, strict=True)
    ]
    biases = None if bias is None else jnp.tile(bias, 4)
    return Squares.from_channels(_product_of_windows(list(parts), weights, biases, offset), offset)


def spread(
    kernel: Kernel, pattern: np.ndarray
) -> Float[Array, "window window in_channels 4*out_channels"]:
    """The weights between the pixels of a window and the four pixels of its square."""
    pattern = jnp.asarray(pattern, kernel.dtype)
    weights = jnp.einsum("uat,vbs,tsio->uviabo", pattern, pattern, kernel)
    return lax.optimization_barrier(weights.reshape(*weights.shape[:3], -1))


def windows(
    x: Float[Array, "batch height width channel"], size: int, stride: int, padding: int
) -> list[Float[Array, "batch rows columns channel"]]:
    """The windows of `size`² pixels that begin each `stride` pixels, beyond the border zero: an array of
    each of the window's pixels."""
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    # Copying what is written already is fast; computing it inside of the copies is not.
    x = lax.optimization_barrier(x)
    bottom, right = x.shape[1] - size + 1, x.shape[2] - size + 1
    return [
        x[:, row : row + bottom : stride, column : column + right : stride]
        for row in range(size)
        for column in range(size)
    ]


def side_by_side(pieces: list[Array]) -> Array:
    """The pieces' channels one after the other, copied as they lie in memory."""
    return lax.optimization_barrier(jnp.concatenate(lax.optimization_barrier(pieces), axis=-1))


def _windows_of(part: Part, offset: int) -> list[Array]:
    if isinstance(part, Upsampled):
        return windows(part.small, size=2, stride=1, padding=1)
    return windows(part, size=4, stride=2, padding=1 + offset)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _product_of_windows(parts: list[Part], weights: list[Array], biases: Array | None, offset: int) -> Array:
    """What each square sees of all parts, times the weights, plus the biases."""
    return _forward(parts, weights, biases, offset)[0]


def _forward(
    parts: list[Part], weights: list[Array], biases: Array | None, offset: int
) -> tuple[Array, tuple]:
    seen = side_by_side([piece for part in parts for piece in _windows_of(part, offset)])
    rows = [block.reshape(-1, block.shape[-1]) for block in weights]
    # As a matrix, to which oneDNN adds the biases while it multiplies.
    product = seen.reshape(-1, seen.shape[-1]) @ jnp.concatenate(rows)
    out = product if biases is None else product + biases
    return out.reshape(*seen.shape[:3], -1), (parts, weights, biases, seen)


def _backward(
    offset: int, saved: tuple, gradient: Array
) -> tuple[list[Part], list[Array], Array | None]:
    parts, weights, biases, seen = saved
    gradient = lax.optimization_barrier(gradient)
    to_biases = None if biases is None else gradient.sum(axis=(0, 1, 2))
    product = seen.reshape(-1, seen.shape[-1]).T @ gradient.reshape(-1, gradient.shape[-1])
    ends = np.cumsum([np.prod(block.shape[:3]) for block in weights])
    rows = jnp.split(product, ends[:-1])
    to_parts = [_to_part(part, block, offset, gradient) for part, block in zip(parts, weights, strict=True)]
    to_weights = [row.reshape(block.shape) for row, block in zip(rows, weights, strict=True)]
    return to_parts, to_weights, to_biases


def _to_part(part: Part, weights: Array, offset: int, gradient: Array) -> Part:
    """The gradient for a part."""
    if isinstance(part, Upsampled):
        flipped = weights[::-1, ::-1].swapaxes(2, 3)
        small = lax.conv_general_dilated(
            gradient, flipped, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return Upsampled(small)
    to_windows = gradient @ weights.reshape(-1, weights.shape[-1]).T
    _, transpose = jax.vjp(lambda x: jnp.concatenate(_windows_of(x, offset), axis=-1), part)
    return transpose(to_windows)[0]


_product_of_windows.defvjp(_forward, _backward)
