"""Halving and doubling a picture."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Shaped


class Upsampled(NamedTuple):
    """The picture `upsample(small)`, not written out: every pixel of `small` stands for a square of four.

    What comes next does its work on the small picture where it can.
    """

    small: Float[Array, "batch height width channel"]


class Squares(struct.PyTreeNode):
    """A picture cut into 2×2 squares, not written out: [batch, rows, columns, 4, channel].

    The four pixels of a square are in the order of reading. With `offset` 1 the first squares begin one
    pixel above and left of the picture, and what lies outside of it means nothing.
    """

    pixels: Shaped[Array, "batch rows columns 4 channel"]
    offset: int = struct.field(pytree_node=False)

    @classmethod
    def cut(cls, picture: Shaped[Array, "batch height width channel"], offset: int) -> "Squares":
        """A picture with even sides, cut; outside of it zero."""
        around = (offset, offset)
        picture = jnp.pad(picture, ((0, 0), around, around, (0, 0)))
        batch, height, width, channels = picture.shape
        pixels = picture.reshape(batch, height // 2, 2, width // 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
        return cls(pixels.reshape(batch, height // 2, width // 2, 4, channels), offset)

    @classmethod
    def from_channels(cls, x: Float[Array, "batch rows columns 4*channel"], offset: int) -> "Squares":
        """From an array whose channels are those of the four pixels, one after the other."""
        return cls(x.reshape(*x.shape[:3], 4, -1), offset)


# A picture, written out or not; sizes of pictures seen side by side differ, so that axes have no names.
Part = Float[Array, "_ _ _ _"] | Upsampled | Squares


def write_out(part: Part) -> Array:
    """The picture itself, with all its pixels."""
    if isinstance(part, Upsampled):
        return upsample(part.small)
    if isinstance(part, Squares):
        batch, rows, columns, _, channels = part.pixels.shape
        pixels = part.pixels.reshape(batch, rows, columns, 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
        picture = pixels.reshape(batch, 2 * rows, 2 * columns, channels)
        return picture[:, part.offset : 2 * rows - part.offset, part.offset : 2 * columns - part.offset]
    return part


def upsample(
    x: Float[Array, "batch height width channel"],
) -> Float[Array, "batch 2*height 2*width channel"]:
    """Every pixel four times: nearest-neighbour upsampling by 2."""
    batch, height, width, channels = x.shape
    repeated = jnp.broadcast_to(x[:, :, None, :, None], (batch, height, 2, width, 2, channels))
    return repeated.reshape(batch, 2 * height, 2 * width, channels)


def max_pool(
    x: Float[Array, "batch height width channel"] | Squares,
) -> Float[Array, "batch height//2 width//2 channel"]:
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
        raise ValueError(
            f"cannot halve a picture of {x.shape[1]}×{x.shape[2]} pixels: its sides must be even"
        )
    return x[:, ::2, ::2], x[:, ::2, 1::2], x[:, 1::2, ::2], x[:, 1::2, 1::2]
