"""Halving and doubling a picture."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def _corners(x: Array) -> tuple[Array, Array, Array, Array]:
    """The four pixels of each 2×2 square, row by row."""
    if x.shape[1] % 2 or x.shape[2] % 2:
        raise ValueError(
            f"cannot halve a picture of {x.shape[1]}×{x.shape[2]} pixels: its sides must be even"
        )
    return x[:, ::2, ::2], x[:, ::2, 1::2], x[:, 1::2, ::2], x[:, 1::2, 1::2]


def max_pool(
    x: Float[Array, "batch height width channel"],
) -> Float[Array, "batch height/2 width/2 channel"]:
    """The largest of each 2×2 square; of equal ones the first has the gradient, as in PyTorch."""

    def first_largest(a: Array, b: Array) -> Array:
        return jnp.where(a >= b, a, b)

    top_left, top_right, bottom_left, bottom_right = _corners(x)
    return first_largest(first_largest(top_left, top_right), first_largest(bottom_left, bottom_right))


def average_pool(
    x: Float[Array, "batch height width channel"],
) -> Float[Array, "batch height/2 width/2 channel"]:
    """The mean of each 2×2 square."""
    a, b, c, d = _corners(x)
    return (a + b + c + d) / 4


def upsample(
    x: Float[Array, "batch height width channel"],
) -> Float[Array, "batch 2*height 2*width channel"]:
    """Every pixel four times: nearest-neighbour upsampling by 2."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
