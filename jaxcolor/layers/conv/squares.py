"""3×3 convolutions that compute 2×2 squares of pixels at once.

The four pixels of a square see nearly the same of the input, so that the convolution becomes one matrix
product with four times the features: of windows of 4×4 pixels, one a square; or, where the input is an
upsampled image, of windows of 2×2 of its small pixels. There equal neighbors meet one weight, the sum
of theirs, which takes 2.25 times fewer multiplications. For that the squares begin one pixel outside of
the image, so that each lies between four small pixels.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jaxcolor.layers.conv.windows import side_by_side, windows
from jaxcolor.layers.resize import Part, Squares, Upsampled, write_out

Kernel = Float[Array, "3 3 _ out_channels"]  # those of several images differ in their input channels
Weights = Float[Array, "window window _ 4*out_channels"]

# [pixel of a window, pixel of a square, tap of the kernel], along an axis: 1 where they meet.
OF_IMAGE = np.asarray(
    [
        [[1, 0, 0], [0, 0, 0]],
        [[0, 1, 0], [1, 0, 0]],
        [[0, 0, 1], [0, 1, 0]],
        [[0, 0, 0], [0, 0, 1]],
    ],
    np.float32,
)
OF_UPSAMPLED = np.asarray([[[1, 1, 0], [1, 0, 0]], [[0, 0, 1], [0, 1, 1]]], np.float32)


def spread(kernel: Kernel, pattern: np.ndarray) -> Weights:
    """The weights between the pixels of a window and the four pixels of its square."""
    along = jnp.asarray(pattern, kernel.dtype)
    weights = jnp.einsum("uat,vbs,tsio->uviabo", along, along, kernel)
    return lax.optimization_barrier(weights.reshape(*weights.shape[:3], -1))


def convolve_to_squares(
    parts: Sequence[Part], kernels: Sequence[Kernel], bias: Float[Array, " out_channels"]
) -> Squares:
    """The 3×3 convolution of upsampled images and of others with few channels, side by side, each with
    its kernel; their sides are even."""
    offset = int(any(isinstance(part, Upsampled) for part in parts))
    weights = [
        spread(kernel, OF_UPSAMPLED if isinstance(part, Upsampled) else OF_IMAGE)
        for part, kernel in zip(parts, kernels, strict=True)
    ]
    out = _product_of_windows(list(parts), weights, jnp.tile(bias, 4), offset)
    return Squares(out.reshape(*out.shape[:3], 4, -1), offset)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _product_of_windows(parts: list[Part], weights: list[Array], biases: Array, offset: int) -> Array:
    """What each square sees of all parts, times the weights, plus the biases.

    Training takes the windows themselves, since the gradient for the weights needs them. Here, without
    gradients, all parts are images with a pixel a square, and one convolution of 2×2 sees the same.
    """
    small = jnp.concatenate([_in_squares(part, offset) for part in parts], axis=-1)
    kernel = jnp.concatenate([_of_squares(block) for block in weights], axis=2)
    return _convolve_valid(small, kernel) + biases


def _in_squares(part: Part, offset: int) -> Array:
    """A image with its squares as channels, one more on each side than what is computed has windows."""
    if isinstance(part, Upsampled):
        return jnp.pad(part.small, ((0, 0), (1, 1), (1, 1), (0, 0)))
    squares = Squares.cut(write_out(part), 1 + offset).pixels
    return squares.reshape(*squares.shape[:3], -1)


def _of_squares(weights: Array) -> Array:
    """The weights of a window of 4×4 pixels as those of its 2×2 squares, whose channels are pixels."""
    if len(weights) == 2:
        return weights
    squares = weights.reshape(2, 2, 2, 2, *weights.shape[2:]).swapaxes(1, 2)
    return squares.reshape(2, 2, -1, weights.shape[-1])


def _convolve_valid(x: Array, kernel: Array) -> Array:
    return lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _windows_of(part: Part, offset: int) -> list[Array]:
    if isinstance(part, Upsampled):
        return windows(part.small, size=2, stride=1, padding=1)
    return windows(write_out(part), size=4, stride=2, padding=1 + offset)


def _forward(parts: list[Part], weights: list[Array], biases: Array, offset: int) -> tuple[Array, tuple]:
    seen = side_by_side([piece for part in parts for piece in _windows_of(part, offset)])
    matrix = jnp.concatenate([block.reshape(-1, block.shape[-1]) for block in weights])
    # As a matrix, to which oneDNN adds the biases while it multiplies.
    out = seen.reshape(-1, len(matrix)) @ matrix + biases
    return out.reshape(*seen.shape[:3], -1), (parts, weights, seen)


def _backward(offset: int, saved: tuple, gradient: Array) -> tuple[list[Part], list[Array], Array]:
    parts, weights, seen = saved
    # Without the barrier XLA computes what the gradient comes from inside of each product.
    gradient = lax.optimization_barrier(gradient)
    to_parts = [_to_part(part, block, offset, gradient) for part, block in zip(parts, weights, strict=True)]
    product = seen.reshape(-1, seen.shape[-1]).T @ gradient.reshape(-1, gradient.shape[-1])
    ends = np.cumsum([np.prod(block.shape[:3]) for block in weights])
    rows = jnp.split(product, ends[:-1])
    to_weights = [row.reshape(block.shape) for row, block in zip(rows, weights, strict=True)]
    return to_parts, to_weights, gradient.sum(axis=(0, 1, 2))


def _to_part(part: Part, weights: Array, offset: int, gradient: Array) -> Part:
    if isinstance(part, Upsampled):
        flipped = weights[::-1, ::-1].swapaxes(2, 3)
        return Upsampled(_convolve_valid(gradient, flipped))
    to_windows = gradient @ weights.reshape(-1, weights.shape[-1]).T
    _, transpose = jax.vjp(lambda x: jnp.concatenate(_windows_of(x, offset), axis=-1), part)
    return transpose(to_windows)[0]


_product_of_windows.defvjp(_forward, _backward)
