"""Halving and doubling a picture."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Upsampled(NamedTuple):
    """The picture `upsample(small)`, not written out: every pixel of `small` stands for a square of four.

    What comes next does its work on the small picture where it can.
    """

    small: Float[Array, "batch height width channel"]


# One of several pictures seen side by side; their sizes differ, so that the axes have no names here.
Part = Float[Array, "_ _ _ _"] | Upsampled


def write_out(part: Part) -> Array:
    """The picture itself, with all its pixels."""
    return upsample(part.small) if isinstance(part, Upsampled) else part


def upsample(
    x: Float[Array, "batch height width channel"],
) -> Float[Array, "batch 2*height 2*width channel"]:
    """Every pixel four times: nearest-neighbour upsampling by 2."""
    batch, height, width, channels = x.shape
    repeated = jnp.broadcast_to(x[:, :, None, :, None], (batch, height, 2, width, 2, channels))
    return repeated.reshape(batch, 2 * height, 2 * width, channels)


def max_pool(
    x: Float[Array, "batch height width channel"],
) -> Float[Array, "batch height//2 width//2 channel"]:
    """The largest of each 2×2 square; of equal ones the first has the gradient, as in PyTorch."""

    def first_largest(a: Array, b: Array) -> Array:
        return jnp.where(a >= b, a, b)

    top_left, top_right, bottom_left, bottom_right = _corners(x)
    return first_largest(first_largest(top_left, top_right), first_largest(bottom_left, bottom_right))


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
