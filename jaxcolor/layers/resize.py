"""Halving and doubling a image, and images that are not written out."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Shaped

from jaxcolor.layers.conv.windows import side_by_side, windows


class Upsampled(NamedTuple):
    """The image `upsample(small)`, not written out: every pixel of `small` stands for a square of four.

    What comes next does its work on the small image where it can.
    """

    small: Float[Array, "batch height width channel"]


class Squares(struct.PyTreeNode):
    """A image cut into 2×2 squares, not written out, as what computes it for whole squares leaves it.

    The four pixels of a square are in the order of reading. With `offset` 1 the first squares begin one
    pixel above and left of the image, and what lies outside of it means nothing.
    """

    pixels: Any  # [batch, rows, columns, 4, channel]
    offset: int = struct.field(pytree_node=False)

    @staticmethod
    def cut(image: Shaped[Array, "batch height width channel"], offset: int) -> "Squares":
        """A image with even sides, cut; outside of it zero."""
        return Squares(jnp.stack(windows(image, size=2, stride=2, padding=offset), axis=3), offset)


# A image, written out or not; sizes of images seen side by side differ, so that axes have no names.
Part = Float[Array, "_ _ _ _"] | Upsampled | Squares


def write_out(part: Part) -> Array:
    """The image itself, with all its pixels."""
    if isinstance(part, Upsampled):
        return upsample(part.small)
    if isinstance(part, Squares):
        batch, rows, columns, _, channels = part.pixels.shape
        return _join(part.pixels.reshape(batch, rows, columns, 4 * channels), part.offset)
    return part


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _join(squares: Shaped[Array, "batch rows columns channels"], offset: int) -> Array:
    batch, rows, columns, _ = squares.shape
    pixels = squares.reshape(batch, rows, columns, 2, 2, -1).transpose(0, 1, 3, 2, 4, 5)
    image = pixels.reshape(batch, 2 * rows, 2 * columns, -1)
    return image[:, offset : 2 * rows - offset, offset : 2 * columns - offset]


def _cut_again(offset: int, _: None, gradient: Array) -> tuple[Array]:
    return (side_by_side(windows(gradient, size=2, stride=2, padding=offset)),)


_join.defvjp(lambda squares, offset: (_join(squares, offset), None), _cut_again)


def upsample(
    x: Float[Array, "batch height width channel"],
) -> Float[Array, "batch 2*height 2*width channel"]:
    """Every pixel four times: nearest-neighbor upsampling by 2."""
    batch, height, width, channels = x.shape
    repeated = jnp.broadcast_to(x[:, :, None, :, None], (batch, height, 2, width, 2, channels))
    return repeated.reshape(batch, 2 * height, 2 * width, channels)


def max_pool(x: Part) -> Float[Array, "batch rows columns channel"]:
    """The largest of each 2×2 square; of equal ones the first has the gradient, as in PyTorch."""
    if isinstance(x, Squares) and x.offset == 0:
        return _max_of_squares(x.pixels)

    def first_largest(a: Array, b: Array) -> Array:
        return jnp.where(a >= b, a, b)

    top_left, top_right, bottom_left, bottom_right = _corners(write_out(x))
    return first_largest(first_largest(top_left, top_right), first_largest(bottom_left, bottom_right))


@jax.custom_vjp
def _max_of_squares(pixels: Float[Array, "batch rows columns 4 channel"]) -> Array:
    return _max_and_place(pixels)[0]


def _max_and_place(pixels: Array) -> tuple[Array, Array]:
    """The largest pixel of each square, and which of the four is the first that large."""
    a, b, c, d = (pixels[:, :, :, i] for i in range(4))
    top, bottom = jnp.maximum(a, b), jnp.maximum(c, d)
    place = jnp.where(top >= bottom, jnp.where(a >= b, 0, 1), jnp.where(c >= d, 2, 3))
    # The barrier keeps XLA from finding the place again for each of the four in the backward pass.
    return jnp.maximum(top, bottom), jax.lax.optimization_barrier(place.astype(jnp.uint8))


def _gradient_of_squares(place: Array, gradient: Array) -> tuple[Array]:
    # The barrier keeps XLA from computing what the gradient comes from again for each of the four.
    gradient = jax.lax.optimization_barrier(gradient)
    is_largest = place[:, :, :, None] == jnp.arange(4, dtype=jnp.uint8)[:, None]
    return (jnp.where(is_largest, gradient[:, :, :, None], 0),)


_max_of_squares.defvjp(_max_and_place, _gradient_of_squares)


def average_pool(
    x: Float[Array, "batch height width channel"],
) -> Float[Array, "batch height//2 width//2 channel"]:
    """The mean of each 2×2 square."""
    a, b, c, d = _corners(x)
    return (a + b + c + d) / 4


def _corners(x: Array) -> tuple[Array, Array, Array, Array]:
    """The four pixels of each 2×2 square, row by row."""
    if x.shape[1] % 2 or x.shape[2] % 2:
        raise ValueError(f"cannot halve a image of {x.shape[1]}×{x.shape[2]} pixels: its sides must be even")
    return x[:, ::2, ::2], x[:, ::2, 1::2], x[:, 1::2, ::2], x[:, 1::2, 1::2]
