import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_arrays import normal

from jaxcolor.layers.conv.squares import OF_IMAGE, OF_UPSAMPLED, cut, join, side_by_side, spread, windows


@pytest.mark.parametrize("pattern", [OF_IMAGE, OF_UPSAMPLED])
def test_each_pixel_of_a_square_meets_the_whole_kernel(pattern: np.ndarray) -> None:
    kernel = jnp.arange(1.0, 10.0).reshape(3, 3, 1, 1)
    weights = spread(kernel, pattern)
    assert weights.shape == (len(pattern), len(pattern), 1, 4)
    np.testing.assert_array_equal(weights.sum(axis=(0, 1, 2)), [45] * 4)


def test_equal_neighbors_meet_the_sum_of_their_weights() -> None:
    kernel = jnp.arange(1.0, 10.0).reshape(3, 3, 1, 1)
    weights = spread(kernel, OF_UPSAMPLED)[:, :, 0]
    # The first pixel of a square lies in the lower right corner of the first small pixel. It sees the first
    # pixel of its window in four places, and the last one only at the last tap of the kernel.
    np.testing.assert_array_equal(weights[:, :, 0], [[1 + 2 + 4 + 5, 3 + 6], [7 + 8, 9]])
    np.testing.assert_array_equal(weights[:, :, 3], [[1, 2 + 3], [4 + 7, 5 + 6 + 8 + 9]])


SQUARES = jnp.asarray([[1.0, 2, 5, 5], [4, 3, 5, 5]]).reshape(1, 2, 4, 1)


@pytest.mark.parametrize("offset", [0, 1])
def test_join_is_the_inverse_of_cut(offset: int) -> None:
    x = normal(0, 2, 4, 6, 3)
    squares = cut(x, offset)
    assert squares.pixels.shape == (2, 2 + offset, 3 + offset, 4, 3)
    np.testing.assert_array_equal(join(squares), x)
    # The gradient for the squares is the gradient for the image, cut. Outside of the image it is zero.
    weights = jnp.arange(x.size).reshape(x.shape).astype(jnp.float32)
    gradient = jax.grad(lambda s: (join(s) * weights).sum())(squares)
    np.testing.assert_array_equal(gradient.pixels, cut(weights, offset).pixels)


def test_pixels_of_squares_are_in_reading_order() -> None:
    np.testing.assert_array_equal(cut(SQUARES, 0).pixels[0, 0, :, :, 0], [[1, 2, 4, 3], [5, 5, 5, 5]])
    np.testing.assert_array_equal(cut(SQUARES, 1).pixels[0, 0, 1, :, 0], [0, 0, 2, 5])


IMAGE = jnp.arange(1.0, 10.0).reshape(1, 3, 3, 1)


def test_windows_with_a_border_of_zeros() -> None:
    seen = side_by_side(windows(IMAGE, size=2, stride=2, padding=1))
    assert seen.shape == (1, 2, 2, 4)
    np.testing.assert_array_equal(seen[0, 0, 0], [0, 0, 0, 1])
    np.testing.assert_array_equal(seen[0, 1, 0], [0, 4, 0, 7])
    np.testing.assert_array_equal(seen[0, 1, 1], [5, 6, 8, 9])


def test_overlapping_windows_of_several_channels() -> None:
    two = jnp.concatenate([IMAGE, -IMAGE], axis=-1)
    seen = side_by_side(windows(two, size=2, stride=1, padding=0))
    assert seen.shape == (1, 2, 2, 8)
    np.testing.assert_array_equal(seen[0, 0, 1], [2, -2, 3, -3, 5, -5, 6, -6])
