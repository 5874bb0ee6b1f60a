import jax.numpy as jnp
import numpy as np
import pytest

from jaxcolor import oklab, painting
from jaxcolor.painting import gray_of, in_parts, lightness_of, paint, with_lightness


def test_painted_colors_keep_the_lightness_and_fit_into_srgb() -> None:
    rng = np.random.default_rng(0)
    lightness = rng.uniform(0.15, 0.95, 500).astype(np.float32)
    wanted = rng.uniform(-0.4, 0.4, (500, 2)).astype(np.float32)  # most are outside of sRGB
    colors = in_parts(paint, lightness, wanted)
    lab = oklab.from_srgb(colors / 255)
    np.testing.assert_allclose(lab[:, 0], lightness, atol=0.006)
    # The hue stays, and the chroma is reduced no further than needed.
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
    painted = in_parts(paint, lab[:, 0], lab[:, 1:])
    assert np.abs(painted.astype(int) - colors).max() <= 8
    assert np.abs(painted.astype(int) - colors).mean() < 0.2


def test_gray_is_the_gray_of_the_same_lightness() -> None:
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(gray_of(np.stack([levels] * 3, -1)[None]), levels[None])
    colors = np.array([[[0, 0, 255], [0, 255, 0], [9, 9, 9], [255, 255, 254]]], np.uint8)
    blue, green, dark, light = gray_of(colors)[0].tolist()
    assert blue < 120 < green
    assert (dark, light) == (9, 255)


def test_colors_take_another_lightness_and_keep_their_hue() -> None:
    rng = np.random.default_rng(0)
    gray = rng.integers(60, 200, (20, 30), np.uint8)
    colors = rng.integers(100, 156, (20, 30, 3), np.uint8)
    recolored = with_lightness(gray, colors)
    assert (recolored.shape, recolored.dtype) == (colors.shape, np.uint8)
    lab, original = (oklab.from_srgb(array / 255) for array in (recolored, colors))
    np.testing.assert_allclose(lab[..., 0], lightness_of(gray), atol=0.006)
    np.testing.assert_allclose(lab[..., 1:], original[..., 1:], atol=0.012)


def test_parts_equal_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(20).reshape(10, 2)
    sizes = []

    def double(rows: jnp.ndarray) -> jnp.ndarray:
        sizes.append(len(rows))
        return 2 * rows

    monkeypatch.setattr(painting, "PIXELS_AT_ONCE", 4)
    np.testing.assert_array_equal(in_parts(double, values), 2 * values)
    assert sizes == [4]  # it is compiled once, for one size
