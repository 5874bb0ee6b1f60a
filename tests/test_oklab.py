import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcolor import oklab


def test_known_colors() -> None:
    # The values that Ottosson publishes for white and for the primaries of sRGB.
    colors = np.array([[1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float64)
    expected: list[list[float]] = [
        [1, 0, 0], [0, 0, 0], [0.62796, 0.22486, 0.12585], [0.86644, -0.23389, 0.17950],
        [0.45201, -0.03246, -0.31153],
    ]  # fmt: skip
    np.testing.assert_allclose(oklab.from_srgb(colors), expected, atol=1e-4)


@pytest.mark.parametrize("array", [np.asarray, jnp.asarray])
def test_there_and_back(array: type) -> None:
    colors = array(np.random.default_rng(0).random((50, 3), np.float32))
    again = oklab.to_srgb(oklab.from_srgb(colors))
    assert isinstance(again, np.ndarray | jax.Array)
    assert again.dtype == np.float32
    np.testing.assert_allclose(again, colors, atol=2e-4)


def test_gray_has_a_lightness_and_no_chroma() -> None:
    values = np.linspace(0, 1, 256)
    lightness = oklab.lightness_of_gray(values)
    lab = oklab.from_srgb(np.stack([values] * 3, axis=-1))
    np.testing.assert_allclose(lab[:, 0], lightness, atol=1e-7)
    np.testing.assert_allclose(lab[:, 1:], 0, atol=1e-7)
    np.testing.assert_allclose(oklab.gray(lightness), values, atol=1e-7)
