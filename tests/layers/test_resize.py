from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcolor.layers.conv.squares import cut
from jaxcolor.layers.fusion import note_source
from jaxcolor.layers.resize import (
    average_pool,
    concatenate,
    interpolation,
    max_pool,
    resize_bilinear,
    upsample,
)

SQUARES = jnp.asarray([[1.0, 2, 5, 5], [4, 3, 5, 5]]).reshape(1, 2, 4, 1)


def test_max_pool_takes_the_maximum() -> None:
    np.testing.assert_array_equal(max_pool(SQUARES).ravel(), [4, 5])


def in_squares(x: jax.Array) -> jax.Array:
    """Return the same image, noted as computed in squares."""
    return note_source(x + 0, cut(x, 0))


@pytest.mark.parametrize("make", [lambda x: x, in_squares])
def test_max_pool_gives_the_gradient_to_the_first_of_equal_pixels(make: Callable) -> None:
    def weighted(x: jax.Array) -> jax.Array:
        return (max_pool(make(x)) * jnp.asarray([2.0, 3.0]).reshape(1, 1, 2, 1)).sum()

    gradient = jax.jit(jax.grad(weighted))(SQUARES)
    np.testing.assert_array_equal(gradient[0, :, :, 0], [[0, 0, 3, 0], [2, 0, 0, 0]])


@pytest.mark.parametrize("place", range(4))
def test_max_pool_of_squares_finds_each_place(place: int) -> None:
    square = jnp.zeros((1, 2, 2, 1)).at[0, place // 2, place % 2, 0].set(1)
    gradient = jax.jit(jax.grad(lambda x: max_pool(in_squares(x)).sum()))(square)
    np.testing.assert_array_equal(gradient, square)


def test_max_pool_uses_the_squares_of_a_convolution() -> None:
    def pooled_is_of_squares(x: jax.Array) -> jax.Array:
        # A source with other values shows which of the two is read.
        return max_pool(note_source(x + 0, cut(10 * x, 0)))

    np.testing.assert_array_equal(jax.jit(pooled_is_of_squares)(SQUARES).ravel(), [40, 50])


def test_average_pool_takes_the_mean() -> None:
    np.testing.assert_array_equal(average_pool(SQUARES).ravel(), [2.5, 5])


def test_upsample_repeats_pixels() -> None:
    x = jnp.asarray([[1.0, 2.0]]).reshape(1, 1, 2, 1)
    np.testing.assert_array_equal(upsample(x)[0, :, :, 0], [[1, 1, 2, 2], [1, 1, 2, 2]])


def test_channels_and_images_stay_apart() -> None:
    x = jax.random.normal(jax.random.key(0), (3, 6, 4, 5))
    expected = np.asarray(x).reshape(3, 3, 2, 2, 2, 5).max(axis=(2, 4))
    np.testing.assert_array_equal(max_pool(x), expected)
    np.testing.assert_array_equal(max_pool(upsample(x)), x)


@pytest.mark.parametrize("pool", [max_pool, average_pool])
def test_odd_sides_are_refused(pool) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="cannot halve an image of 5×4 pixels"):
        pool(jnp.zeros((1, 5, 4, 1)))


def test_concatenate_joins_channels() -> None:
    a, b = jnp.zeros((1, 2, 2, 1)), jnp.ones((1, 2, 2, 2))
    np.testing.assert_array_equal(concatenate([a, b])[0, 1, 1], [0, 1, 1])


def test_interpolation_has_half_pixel_centers() -> None:
    np.testing.assert_allclose(
        interpolation(4, 2), np.asarray([[4, 0], [3, 1], [1, 3], [0, 4]]) / 4, atol=1e-7
    )
    np.testing.assert_allclose(interpolation(2, 4), [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]], atol=1e-7)
    np.testing.assert_allclose(interpolation(3, 1), np.ones((3, 1)))


@pytest.mark.parametrize("size", [(9, 7), (4, 6), (5, 12)])
def test_bilinear_enlargement_equals_jax(size: tuple[int, int]) -> None:
    x = jax.random.normal(jax.random.key(0), (2, 4, 6, 3))
    expected = jax.image.resize(x, (2, *size, 3), "bilinear", antialias=False)
    np.testing.assert_allclose(resize_bilinear(x, size), expected, atol=1e-5)
