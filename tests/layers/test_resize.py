from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcolor.layers.resize import Squares, average_pool, max_pool, upsample, write_out

SQUARES = jnp.asarray([[1.0, 2, 5, 5], [4, 3, 5, 5]]).reshape(1, 2, 4, 1)


def test_max_pool_takes_the_largest() -> None:
    np.testing.assert_array_equal(max_pool(SQUARES).ravel(), [4, 5])
    np.testing.assert_array_equal(max_pool(Squares.cut(SQUARES, 0)).ravel(), [4, 5])


@pytest.mark.parametrize("cut", [lambda x: x, lambda x: Squares.cut(x, 0)])
def test_max_pool_gives_the_gradient_to_the_first_of_equals(cut: Callable) -> None:
    def weighted(x: jax.Array) -> jax.Array:
        return (max_pool(cut(x)) * jnp.asarray([2.0, 3.0]).reshape(1, 1, 2, 1)).sum()

    np.testing.assert_array_equal(jax.grad(weighted)(SQUARES)[0, :, :, 0], [[0, 0, 3, 0], [2, 0, 0, 0]])


@pytest.mark.parametrize("place", range(4))
def test_max_pool_of_squares_finds_each_place(place: int) -> None:
    square = jnp.zeros((1, 2, 2, 1)).at[0, place // 2, place % 2, 0].set(1)
    gradient = jax.grad(lambda x: max_pool(Squares.cut(x, 0)).sum())(square)
    np.testing.assert_array_equal(gradient, square)


@pytest.mark.parametrize("offset", [0, 1])
def test_what_is_cut_into_squares_is_written_out_again(offset: int) -> None:
    x = jax.random.normal(jax.random.key(0), (2, 4, 6, 3))
    squares = Squares.cut(x, offset)
    assert squares.pixels.shape == (2, 2 + offset, 3 + offset, 4, 3)
    np.testing.assert_array_equal(write_out(squares), x)
    # The gradient for the squares is the gradient for the image, cut; outside of it there is none.
    weights = jnp.arange(x.size).reshape(x.shape).astype(jnp.float32)
    gradient = jax.grad(lambda s: (write_out(s) * weights).sum())(squares)
    np.testing.assert_array_equal(gradient.pixels, Squares.cut(weights, offset).pixels)


def test_squares_are_in_the_order_of_reading() -> None:
    np.testing.assert_array_equal(Squares.cut(SQUARES, 0).pixels[0, 0, :, :, 0], [[1, 2, 4, 3], [5, 5, 5, 5]])
    np.testing.assert_array_equal(Squares.cut(SQUARES, 1).pixels[0, 0, 1, :, 0], [0, 0, 2, 5])


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
    with pytest.raises(ValueError, match="cannot halve a image of 5×4 pixels"):
        pool(jnp.zeros((1, 5, 4, 1)))
