import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcolor.layers.resize import average_pool, max_pool, upsample

SQUARES = jnp.asarray([[1.0, 2, 5, 5], [4, 3, 5, 5]]).reshape(1, 2, 4, 1)


def test_max_pool_takes_the_largest() -> None:
    np.testing.assert_array_equal(max_pool(SQUARES).ravel(), [4, 5])


def test_max_pool_gives_the_gradient_to_the_first_of_equals() -> None:
    gradient = jax.grad(lambda x: (max_pool(x) * jnp.asarray([2.0, 3.0]).reshape(1, 1, 2, 1)).sum())(SQUARES)
    np.testing.assert_array_equal(gradient[0, :, :, 0], [[0, 0, 3, 0], [2, 0, 0, 0]])


def test_average_pool_takes_the_mean() -> None:
    np.testing.assert_array_equal(average_pool(SQUARES).ravel(), [2.5, 5])


def test_upsample_repeats_pixels() -> None:
    x = jnp.asarray([[1.0, 2.0]]).reshape(1, 1, 2, 1)
    np.testing.assert_array_equal(upsample(x)[0, :, :, 0], [[1, 1, 2, 2], [1, 1, 2, 2]])


def test_channels_and_pictures_stay_apart() -> None:
    x = jax.random.normal(jax.random.key(0), (3, 6, 4, 5))
    expected = np.asarray(x).reshape(3, 3, 2, 2, 2, 5).max(axis=(2, 4))
    np.testing.assert_array_equal(max_pool(x), expected)
    np.testing.assert_array_equal(max_pool(upsample(x)), x)


@pytest.mark.parametrize("pool", [max_pool, average_pool])
def test_odd_sides_are_refused(pool) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="cannot halve a picture of 5×4 pixels"):
        pool(jnp.zeros((1, 5, 4, 1)))
