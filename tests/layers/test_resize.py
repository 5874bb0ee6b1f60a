from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_arrays import normal

from jaxcolor.layers.conv.squares import cut
from jaxcolor.layers.fusion import note_source
from jaxcolor.layers.resize import (
    average_pool,
    concatenate,
    interpolate,
    interpolation,
    max_pool,
    resize_bilinear,
    upsample,
)
from jaxcolor.training import compilation

SQUARES = jnp.asarray([[1.0, 2, 5, 5], [4, 3, 5, 5]]).reshape(1, 2, 4, 1)


def in_squares(x: jax.Array) -> jax.Array:
    """Return the same image, noted as computed in squares."""
    return note_source(x + 0, cut(x, 0))


MAKE = pytest.mark.parametrize("make", [lambda x: x, in_squares], ids=["image", "squares"])


@MAKE
@pytest.mark.usefixtures("each_option")
def test_max_pool_takes_the_maximum_and_its_first_pixel_receives_the_gradient(make: Callable) -> None:
    def pooled_and_gradient(x: jax.Array) -> Any:
        out, transpose = jax.vjp(lambda x: max_pool(make(x)), x)
        return out, *transpose(jnp.asarray([2.0, 3.0]).reshape(1, 1, 2, 1))

    out, gradient = compilation.jit(pooled_and_gradient)(SQUARES)
    np.testing.assert_array_equal(out.ravel(), [4, 5])
    np.testing.assert_array_equal(gradient[0, :, :, 0], [[0, 0, 3, 0], [2, 0, 0, 0]])


@MAKE
def test_max_pool_finds_each_place(make: Callable) -> None:
    places = jnp.eye(4).reshape(4, 2, 2, 1)
    gradient = jax.jit(jax.grad(lambda x: max_pool(make(x)).sum()))(places)
    np.testing.assert_array_equal(gradient, places)


@MAKE
def test_max_pool_gives_the_gradient_to_the_first_of_equal_pixels(make: Callable) -> None:
    """For each set of pixels that have the maximum."""
    sets = [[int(bit) for bit in f"{number:04b}"] for number in range(16)]
    x = jnp.asarray(sets, jnp.float32).reshape(16, 2, 2, 1)
    gradient = jax.jit(jax.grad(lambda x: max_pool(make(x)).sum()))(x).reshape(16, 4)
    np.testing.assert_array_equal(gradient, np.eye(4)[np.argmax(sets, axis=1)])


def test_max_pool_reads_squares_without_an_offset() -> None:
    """Other values in the squares show which of the two is read."""

    @jax.jit
    def pool_of_others(x: jax.Array) -> list[jax.Array]:
        return [max_pool(note_source(x + 0, cut(10 * x, offset))) for offset in (0, 1)]

    of_squares, of_image = pool_of_others(SQUARES)
    np.testing.assert_array_equal(of_squares.ravel(), [40, 50])
    np.testing.assert_array_equal(of_image.ravel(), [4, 5])


def test_average_pool_takes_the_mean() -> None:
    np.testing.assert_array_equal(average_pool(SQUARES).ravel(), [2.5, 5])


def test_upsample_repeats_pixels() -> None:
    x = jnp.asarray([[1.0, 2.0]]).reshape(1, 1, 2, 1)
    np.testing.assert_array_equal(upsample(x)[0, :, :, 0], [[1, 1, 2, 2], [1, 1, 2, 2]])


def test_channels_and_images_stay_apart() -> None:
    x = normal(0, 3, 6, 4, 5)
    squares = np.asarray(x).reshape(3, 3, 2, 2, 2, 5)
    np.testing.assert_array_equal(max_pool(x), squares.max(axis=(2, 4)))
    np.testing.assert_allclose(average_pool(x), squares.mean(axis=(2, 4)), atol=1e-6)
    np.testing.assert_array_equal(upsample(x), np.kron(x, np.ones((1, 2, 2, 1))))


@pytest.mark.parametrize("pool", [max_pool, average_pool])
@pytest.mark.parametrize(("height", "width"), [(5, 4), (4, 5)])
def test_odd_sides_are_refused(pool: Callable, height: int, width: int) -> None:
    with pytest.raises(ValueError, match=f"cannot halve an image of {height}×{width} pixels"):
        pool(jnp.zeros((1, height, width, 1)))


def test_concatenate_joins_channels() -> None:
    a, b = jnp.zeros((1, 2, 2, 1)), jnp.ones((1, 2, 2, 2))
    np.testing.assert_array_equal(concatenate([a, b])[0, 1, 1], [0, 1, 1])


def test_interpolation_has_half_pixel_centers() -> None:
    np.testing.assert_allclose(
        interpolation(4, 2), [[1.0, 0], [0.75, 0.25], [0.25, 0.75], [0.0, 1]], atol=1e-7
    )
    np.testing.assert_allclose(interpolation(2, 4), [[0.5, 0.5, 0, 0], [0.0, 0, 0.5, 0.5]], atol=1e-7)
    np.testing.assert_allclose(interpolation(3, 1), [[1], [1], [1]])
    np.testing.assert_array_equal(interpolation(3, 3), np.eye(3))


def test_rows_and_columns_have_their_own_matrix() -> None:
    x = jnp.asarray([[1.0, 2.0], [3.0, 5.0], [10.0, 20.0]]).reshape(1, 3, 2, 1)
    rows = jnp.asarray([[0.0, 0.0, 1.0]])
    columns = jnp.asarray([[1.0, 1.0], [1.0, 0.0], [2.0, 3.0], [0.0, 1.0]])
    np.testing.assert_allclose(interpolate(x, rows, columns)[0, :, :, 0], [[30, 10, 80, 20]])
    out = resize_bilinear(x[:, :2], (1, 4))
    np.testing.assert_allclose(out[0, :, :, 0], [[2, 2.375, 3.125, 3.5]])


@pytest.mark.parametrize("size", [(9, 7), (2, 13)])
def test_resizing_equals_jax(size: tuple[int, int]) -> None:
    x = normal(0, 2, 4, 6, 3)
    expected = jax.image.resize(x, (2, *size, 3), "bilinear", antialias=False)
    np.testing.assert_allclose(resize_bilinear(x, size), expected, atol=1e-5)


def test_bfloat16_images_are_resized_in_float32() -> None:
    x = normal(0, 1, 4, 6, 3).astype(jnp.bfloat16)
    out = resize_bilinear(x, (5, 7))
    assert out.dtype == jnp.float32
    np.testing.assert_array_equal(out, resize_bilinear(x.astype(jnp.float32), (5, 7)))
