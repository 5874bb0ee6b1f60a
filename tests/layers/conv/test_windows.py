import jax.numpy as jnp
import numpy as np

from jaxcolor.layers.conv.windows import side_by_side, windows

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
