"""Pooling, upsampling and concatenation of images [batch, height, width, channel]."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float

from jaxcolor.layers.fusion import Concatenated, Squares, Upsampled, note_source, source_of
from jaxcolor.layers.portable import Length, is_portable

Images = Float[Array, "batch height width channel"]


def concatenate(parts: Sequence[Float[Array, "batch height width _"]]) -> Images:
    """Concatenate along the channels, as a skip connection does."""
    return note_source(jnp.concatenate(parts, axis=-1), Concatenated(list(parts)))


def upsample(x: Images) -> Float[Array, "batch 2*height 2*width channel"]:
    """Repeat every pixel in a 2×2 square: nearest-neighbor upsampling by 2."""
    batch, height, width, channels = x.shape
    repeated = jnp.broadcast_to(x[:, :, None, :, None], (batch, height, 2, width, 2, channels))
    return note_source(repeated.reshape(batch, 2 * height, 2 * width, channels), Upsampled(x))


def average_pool(x: Images) -> Float[Array, "batch height//2 width//2 channel"]:
    """Return the mean of each 2×2 square. Raises `ValueError` if a side is odd."""
    a, b, c, d = _corners(x)
    return (a + b + c + d) / 4


def max_pool(x: Images) -> Float[Array, "batch height//2 width//2 channel"]:
    """Return the maximum of each 2×2 square. Raises `ValueError` if a side is odd.

    Among equal pixels the first in reading order receives the gradient, as in PyTorch.
    """
    source = source_of(x)
    if isinstance(source, Squares) and source.offset == 0:
        return _max_of_squares(source.pixels)
    if is_portable():
        check_even(x)
        return nn.max_pool(x, (2, 2), strides=(2, 2))

    def first_maximum(a: Array, b: Array) -> Array:
        return jnp.where(a >= b, a, b)

    top_left, top_right, bottom_left, bottom_right = _corners(x)
    return first_maximum(first_maximum(top_left, top_right), first_maximum(bottom_left, bottom_right))


def check_even(x: Images) -> None:
    """Raise `ValueError` for images that cannot be halved."""
    height, width = x.shape[1:3]
    if height % 2 or width % 2:
        raise ValueError(f"cannot halve an image of {height}×{width} pixels: its sides must be even")


def _corners(x: Array) -> tuple[Array, Array, Array, Array]:
    """Return the four pixels of each 2×2 square, in reading order."""
    check_even(x)
    # As `x[:, row::2, column::2]`, which is no plain slice where sizes are symbolic dimensions.
    a, b, c, d = (
        lax.slice(x, (0, row, column, 0), x.shape, (1, 2, 2, 1)) for row in (0, 1) for column in (0, 1)
    )
    return a, b, c, d


@jax.custom_vjp
def _max_of_squares(pixels: Float[Array, "batch rows columns 4 channel"]) -> Array:
    return _max_and_place(pixels)[0]


def _max_and_place(pixels: Array) -> tuple[Array, Array]:
    """Return the maximum of each square, and the place of the first pixel that has it."""
    a, b, c, d = (pixels[:, :, :, i] for i in range(4))
    top, bottom = jnp.maximum(a, b), jnp.maximum(c, d)
    place = jnp.where(top >= bottom, jnp.where(a >= b, 0, 1), jnp.where(c >= d, 2, 3))
    # The barrier keeps XLA from computing the place again for each of the four pixels in the backward pass.
    return jnp.maximum(top, bottom), lax.optimization_barrier(place.astype(jnp.uint8))


def _gradient_of_squares(place: Array, gradient: Array) -> tuple[Array]:
    # The barrier keeps XLA from computing the source of the gradient again for each of the four pixels.
    gradient = lax.optimization_barrier(gradient)
    is_maximum = place[:, :, :, None] == jnp.arange(4, dtype=jnp.uint8)[:, None]
    return (jnp.where(is_maximum, gradient[:, :, :, None], 0),)


_max_of_squares.defvjp(_max_and_place, _gradient_of_squares)


def resize_bilinear(x: Images, size: tuple[Length, Length]) -> Float[Array, "batch _ _ channel"]:
    """Resize to `size` (height, width): bilinear, half-pixel centers, no antialiasing, in float32."""
    if is_portable():
        return _resize_portably(x, size)
    rows, columns = (jnp.asarray(interpolation(n, m)) for n, m in zip(size, x.shape[1:3], strict=True))
    return interpolate(x, rows, columns)


# A function of its own in the program, so that exporters can tell what it computes.
@partial(jax.jit, static_argnums=1)
def _resize_portably(x: Images, size: tuple[Length, Length]) -> Float[Array, "batch _ _ channel"]:
    """`resize_bilinear` for sizes that may be symbolic dimensions."""
    rows, columns = (_portable_interpolation(n, m) for n, m in zip(size, x.shape[1:3], strict=True))
    return interpolate(x, rows, columns)


def _portable_interpolation(new: Length, old: Length) -> Float[Array, "new old"]:
    """`interpolation`: a value weighs 1 − its distance to the place, and nothing from a distance of 1 on."""
    place = jnp.clip((jnp.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    return jnp.maximum(1 - abs(place[:, None] - jnp.arange(old)), 0)


def interpolation(new: int, old: int) -> Float[np.ndarray, "new old"]:
    """Return the matrix that interpolates linearly from `old` values to `new` places."""
    place = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    left = np.floor(place).astype(int)
    matrix = np.zeros((new, old))
    matrix[np.arange(new), left] = 1 - (place - left)
    matrix[np.arange(new), np.minimum(left + 1, old - 1)] += place - left
    return matrix.astype(np.float32)


def interpolate(
    x: Images, rows: Float[Array, "_ height"], columns: Float[Array, "_ width"]
) -> Float[Array, "batch _ _ channel"]:
    """Apply a matrix of `interpolation` to each axis, in float32."""
    exact = lax.Precision.HIGHEST
    # The rows first, while the image is still narrow.
    x = jnp.einsum("bhwc,Hh->bHwc", x.astype(jnp.float32), rows, precision=exact)
    return jnp.einsum("bHwc,Ww->bHWc", x, columns, precision=exact)


def interpolate_planes(
    x: Float[Array, "height width channel"],
    rows: Float[Array, "_ height"],
    columns: Float[Array, "_ width"],
) -> Float[Array, "channel _ _"]:
    """Do what `interpolate` does for one image, and return each channel as a plane."""
    exact = lax.Precision.HIGHEST
    planes = jnp.matmul(rows, x.astype(jnp.float32).transpose(2, 0, 1), precision=exact)
    return jnp.matmul(planes, columns.T, precision=exact)
