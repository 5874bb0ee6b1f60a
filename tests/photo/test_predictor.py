import jax.numpy as jnp
import numpy as np
import pytest

from jaxcolor import oklab
from jaxcolor.photo.predictor import FEWEST, MOST, network_size, padded, paint, resize, to_gray
from jaxcolor.photo.upsampling import PIXELS_AT_ONCE


@pytest.mark.parametrize("size", [(3000, 4000), (1, 1), (32, 32), (100, 100), (500, 9000), (1, 5000)])
def test_the_network_sees_few_pixels_in_about_the_same_proportions(size: tuple[int, int]) -> None:
    rows, columns = network_size(size)
    assert rows % 32 == columns % 32 == 0
    assert FEWEST / 2 <= rows * columns <= 1.3 * MOST
    assert (rows > columns) == (size[0] > size[1]) or rows == columns
    if 1 / 4 < size[0] / size[1] < 4:
        assert 0.8 < (rows / columns) / (size[0] / size[1]) < 1.25


def test_painted_colors_keep_the_lightness_and_fit_into_srgb() -> None:
    rng = np.random.default_rng(0)
    lightness = rng.uniform(0.15, 0.95, 500).astype(np.float32)
    functions = np.zeros((500, 4), np.float32)
    functions[:, 2:] = rng.uniform(-0.4, 0.4, (500, 2))  # most are outside of sRGB
    colors = np.asarray(paint(jnp.asarray(lightness), jnp.asarray(functions)))
    lab = oklab.from_srgb(colors / 255)
    np.testing.assert_allclose(lab[:, 0], lightness, atol=0.006)
    # The hue stays, and the chroma is reduced no further than needed.
    wanted = functions[:, 2:]
    reached = (lab[:, 1:] * wanted).sum(-1) / np.square(wanted).sum(-1)
    assert reached.max() < 1.05
    cross = lab[:, 1] * wanted[:, 1] - lab[:, 2] * wanted[:, 0]
    assert np.abs(cross).max() / np.linalg.norm(wanted, axis=-1).max() < 0.01
    farther = np.concatenate([lightness[:, None], (reached + 0.05)[:, None] * wanted], axis=-1)
    light = oklab.to_linear_srgb(farther.astype(np.float64))
    outside = ((light < 0) | (light > 1)).any(axis=-1)
    assert (outside | (reached > 0.94)).mean() > 0.98


def test_chroma_within_srgb_is_not_changed() -> None:
    colors = np.random.default_rng(0).integers(0, 256, (500, 3), np.uint8)
    lab = oklab.from_srgb(colors / 255).astype(np.float32)
    functions = np.concatenate([np.zeros_like(lab[:, 1:]), lab[:, 1:]], axis=-1)
    painted = np.asarray(paint(jnp.asarray(lab[:, 0]), jnp.asarray(functions)))
    assert np.abs(painted.astype(int) - colors).max() <= 8
    assert np.abs(painted.astype(int) - colors).mean() < 0.2


def test_gray_is_the_gray_of_the_same_lightness() -> None:
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_gray(jnp.asarray(np.stack([levels] * 3, -1))), levels)
    assert (
        to_gray(jnp.asarray([[0, 0, 255]], jnp.uint8))[0] < to_gray(jnp.asarray([[0, 255, 0]], jnp.uint8))[0]
    )


def test_padding_and_resizing() -> None:
    assert padded(np.ones((3, 4))).shape == (PIXELS_AT_ONCE, 4)
    gray = np.zeros((64, 64), np.uint8)
    gray[:, ::2] = 200
    assert np.abs(resize(gray, (8, 8)).astype(int) - 100).max() <= 13  # antialiased
