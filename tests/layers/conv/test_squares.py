import jax.numpy as jnp
import numpy as np
import pytest

from jaxcolor.layers.conv.squares import OF_IMAGE, OF_UPSAMPLED, spread


@pytest.mark.parametrize("pattern", [OF_IMAGE, OF_UPSAMPLED])
def test_each_pixel_of_a_square_meets_the_whole_kernel(pattern: np.ndarray) -> None:
    kernel = jnp.arange(1.0, 10.0).reshape(3, 3, 1, 1)
    weights = spread(kernel, pattern)
    assert weights.shape == (len(pattern), len(pattern), 1, 4)
    np.testing.assert_array_equal(weights.sum(axis=(0, 1, 2)), [45] * 4)


def test_equal_neighbors_meet_the_sum_of_their_weights() -> None:
    kernel = jnp.arange(1.0, 10.0).reshape(3, 3, 1, 1)
    weights = spread(kernel, OF_UPSAMPLED)[:, :, 0]
    # The first pixel of a square lies in the lower right corner of the first small pixel: of its window it
    # sees that one in four places, and the last one in the kernel's last tap alone.
    np.testing.assert_array_equal(weights[:, :, 0], [[1 + 2 + 4 + 5, 3 + 6], [7 + 8, 9]])
    np.testing.assert_array_equal(weights[:, :, 3], [[1, 2 + 3], [4 + 7, 5 + 6 + 8 + 9]])
