"""Windows of images, copied as a CPU copies fastest."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Shaped


def windows(
    x: Shaped[Array, "batch height width channel"], size: int, stride: int, padding: int
) -> list[Shaped[Array, "batch rows columns channel"]]:
    """The windows of `size`² pixels that begin each `stride` pixels, beyond the border zero: an array for
    each of a window's pixels, in the order of reading."""
    around = (padding, padding)
    # The barriers: copying what is in memory is fast, computing it inside of each copy is not.
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
    """The channels of all pieces."""
    return lax.optimization_barrier(jnp.concatenate(lax.optimization_barrier(pieces), axis=-1))
