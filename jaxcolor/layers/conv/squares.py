"""3×3 convolutions that compute 2×2 squares of pixels at once.

The four pixels of a square see nearly the same pixels of the input. So the convolution becomes one matrix
product with four times the output features, and each square reads one window of the input:

    input image, 4×4 window        upsampled image: each small pixel stands for 2×2 equal pixels
    ┌─┬─┬─┬─┐                      ┌───┬───┐
    │ │ │ │ │                      │ a │ b │     The square lies on the corner between four small
    ├─╔═╤═╗─┤                      │  ╔╪╗  │     pixels. Its top left pixel sees a 3×3 neighborhood
    │ ║ │ ║ │  one square          ├──╫┼╫──┤     in which a occurs 4 times, b and c twice, d once.
    ├─╟─┼─╢─┤  reads 4×4           │  ╚╪╝  │     Equal neighbors meet one weight, the sum of theirs:
    │ ║ │ ║ │  pixels              │ c │ d │     4 products per channel instead of 9 (2.25 times fewer).
    ├─╚═╧═╝─┤                      └───┴───┘
    │ │ │ │ │                      So that each square lies between four small pixels, the squares
    └─┴─┴─┴─┘                      begin one pixel outside of the image (`Squares.offset` 1).
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Shaped

from jaxcolor.layers.fusion import Squares, Upsampled

Kernel = Float[Array, "3 3 _ out_channels"]  # the input channels differ between images side by side
Weights = Float[Array, "window window _ 4*out_channels"]
Part = Array | Upsampled

# [pixel of a window, pixel of a square, tap of the kernel] along one axis: 1 where they meet.
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


def cut(image: Shaped[Array, "batch height width channel"], offset: int) -> Squares:
    """Cut an image with even sides into squares; pixels outside of the image are zero."""
    return Squares(jnp.stack(windows(image, size=2, stride=2, padding=offset), axis=3), offset)


def join(squares: Squares) -> Shaped[Array, "batch height width channel"]:
    """Put the image together again: the inverse of `cut`."""
    batch, rows, columns, _, channels = squares.pixels.shape
    return _join(squares.pixels.reshape(batch, rows, columns, 4 * channels), squares.offset)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _join(squares: Shaped[Array, "batch rows columns channels"], offset: int) -> Array:
    batch, rows, columns, _ = squares.shape
    pixels = squares.reshape(batch, rows, columns, 2, 2, -1).transpose(0, 1, 3, 2, 4, 5)
    image = pixels.reshape(batch, 2 * rows, 2 * columns, -1)
    return image[:, offset : 2 * rows - offset, offset : 2 * columns - offset]


def _cut_again(offset: int, _: None, gradient: Array) -> tuple[Array]:
    return (side_by_side(windows(gradient, size=2, stride=2, padding=offset)),)


_join.defvjp(lambda squares, offset: (_join(squares, offset), None), _cut_again)


def spread(kernel: Float[Array, "k k _ out_channels"], pattern: np.ndarray) -> Weights:
    """Return the weights between the pixels of a window and the four pixels of its square.

    `pattern` is [pixel of a window, pixel of a square, tap of the kernel], as `OF_IMAGE` is.
    """
    along = jnp.asarray(pattern, kernel.dtype)
    weights = jnp.einsum("uat,vbs,tsio->uviabo", along, along, kernel)
    return lax.optimization_barrier(weights.reshape(*weights.shape[:3], -1))


def convolve_to_squares(
    parts: Sequence[Part], kernels: Sequence[Kernel], bias: Float[Array, " out_channels"]
) -> Squares:
    """Return the 3×3 convolution of images side by side, each with its kernel.

    The images have even sides. They are upsampled, or have few channels.
    """
    offset = int(any(isinstance(part, Upsampled) for part in parts))
    weights = [
        spread(kernel, OF_UPSAMPLED if isinstance(part, Upsampled) else OF_IMAGE)
        for part, kernel in zip(parts, kernels, strict=True)
    ]
    out = _product_of_windows(list(parts), weights, jnp.tile(bias, 4), offset)
    return Squares(out.reshape(*out.shape[:3], 4, -1), offset)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _product_of_windows(parts: list[Part], weights: list[Array], biases: Array, offset: int) -> Array:
    """Return the windows of all parts, times the weights, plus the biases.

    Training writes the windows out, because the gradient for the weights needs them. Without gradients each
    part becomes an image with one pixel per square, and one 2×2 convolution sees the same.
    """
    small = jnp.concatenate([_in_squares(part, offset) for part in parts], axis=-1)
    kernel = jnp.concatenate([_of_squares(block) for block in weights], axis=2)
    return _convolve_valid(small, kernel) + biases


def _in_squares(part: Part, offset: int) -> Array:
    """Return an image with one pixel per square, and one more on each side than there are windows."""
    if isinstance(part, Upsampled):
        return jnp.pad(part.small, ((0, 0), (1, 1), (1, 1), (0, 0)))
    squares = cut(part, 1 + offset).pixels
    return squares.reshape(*squares.shape[:3], -1)


def _of_squares(weights: Array) -> Array:
    """Rearrange the weights of a window of 4×4 pixels into those of 2×2 squares with 4 times the channels."""
    if len(weights) == 2:
        return weights
    squares = weights.reshape(2, 2, 2, 2, *weights.shape[2:]).swapaxes(1, 2)
    return squares.reshape(2, 2, -1, weights.shape[-1])


def _convolve_valid(x: Array, kernel: Array) -> Array:
    return lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _windows_of(part: Part, offset: int) -> list[Array]:
    if isinstance(part, Upsampled):
        return windows(part.small, size=2, stride=1, padding=1)
    return windows(part, size=4, stride=2, padding=1 + offset)


def _forward(parts: list[Part], weights: list[Array], biases: Array, offset: int) -> tuple[Array, tuple]:
    seen = side_by_side([piece for part in parts for piece in _windows_of(part, offset)])
    matrix = jnp.concatenate([block.reshape(-1, block.shape[-1]) for block in weights])
    # As a matrix, because oneDNN then adds the biases while it multiplies.
    out = seen.reshape(-1, len(matrix)) @ matrix + biases
    return out.reshape(*seen.shape[:3], -1), (parts, weights, seen)


def _backward(offset: int, saved: tuple, gradient: Array) -> tuple[list[Part], list[Array], Array]:
    parts, weights, seen = saved
    # Without the barrier XLA computes the source of the gradient again inside each product.
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


def windows(
    x: Shaped[Array, "batch height width channel"], size: int, stride: int, padding: int
) -> list[Shaped[Array, "batch rows columns channel"]]:
    """Return the windows of `size`² pixels, `stride` pixels apart, one array per pixel of a window.

    The arrays are in reading order. Pixels outside of the image are zero.
    """
    around = (padding, padding)
    # The barriers: copying from memory is fast, computing the image again inside each copy is not.
    x = lax.optimization_barrier(jnp.pad(x, ((0, 0), around, around, (0, 0))))
    bottom, right = x.shape[1] - size + 1, x.shape[2] - size + 1
    return [
        x[:, row : row + bottom : stride, column : column + right : stride]
        for row in range(size)
        for column in range(size)
    ]


def side_by_side(
    pieces: list[Shaped[Array, "batch rows columns _"]],
) -> Shaped[Array, "batch rows columns channels"]:
    """Concatenate along the channels, between barriers."""
    return lax.optimization_barrier(jnp.concatenate(lax.optimization_barrier(pieces), axis=-1))
