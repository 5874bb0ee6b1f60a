from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcolor.colorization import palette as palette_module
from jaxcolor.colorization.palette import (
    draw_palette,
    fit_palette,
    load_palette,
    nearest_color,
    paint,
    to_bytes,
)
from jaxcolor.errors import UserError
from jaxcolor.files import cache_folder

PALETTE = np.asarray([[0, 0, 0], [1, 0, 0], [0.5, 0.5, 0.5]], np.float32)


def test_nearest_color_on_literal_pixels() -> None:
    pixels = np.asarray([[10, 0, 0], [250, 20, 9], [100, 140, 130], [129, 0, 0]], np.uint8)
    labels = nearest_color(jnp.asarray(pixels.reshape(1, 2, 2, 3)), jnp.asarray(PALETTE))
    assert labels.dtype == jnp.uint8
    np.testing.assert_array_equal(labels.ravel(), [0, 1, 2, 1])


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_nearest_color_equals_brute_force(batch_size: int) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (10, 4, 8, 3), np.uint8)
    palette = rng.uniform(0, 1, (24, 3)).astype(np.float32)
    expected = np.square(images[..., None, :] / 256 - palette).sum(-1).argmin(-1)
    labels = nearest_color(jnp.asarray(images), jnp.asarray(palette), batch_size=batch_size)
    np.testing.assert_array_equal(labels, expected)


def test_memory_of_nearest_color_does_not_grow_with_the_data() -> None:
    def temporary(images: int) -> int:
        shape = jax.ShapeDtypeStruct((images, 32, 32, 3), jnp.uint8)
        analysis: Any = nearest_color.lower(shape, jnp.zeros((24, 3))).compile().memory_analysis()
        return analysis.temp_size_in_bytes

    # All distances of 1,024 images at once would be 100 MB.
    assert temporary(1024) == temporary(2048) < 20e6


def test_paint_and_to_bytes() -> None:
    levels = np.arange(256)
    np.testing.assert_array_equal(to_bytes(levels / 256), levels)
    np.testing.assert_array_equal(to_bytes(PALETTE), [[0, 0, 0], [255, 0, 0], [128, 128, 128]])
    np.testing.assert_array_equal(paint(np.asarray([[2, 1]]), PALETTE), [[[128] * 3, [255, 0, 0]]])


def four_colors(n: int = 6) -> np.ndarray:
    rng = np.random.default_rng(0)
    colors = np.asarray([[250, 250, 250], [10, 10, 10], [200, 30, 30], [30, 60, 220]])
    return (colors[rng.integers(0, 4, (n, 8, 8))] + rng.integers(-3, 4, (n, 8, 8, 3))).astype(np.uint8)


def test_fit_finds_the_colors_from_dark_to_light(tmp_path: Path) -> None:
    palette = fit_palette(four_colors(), 4, seed=0)
    expected = [[10, 10, 10], [200, 30, 30], [30, 60, 220], [250, 250, 250]]
    np.testing.assert_allclose(palette * 256, expected, atol=1)


def test_fit_is_cached_by_its_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    images = four_colors(7)
    first = fit_palette(images, 4, seed=0)
    monkeypatch.setattr(palette_module, "_k_means", None)
    np.testing.assert_array_equal(fit_palette(images, 4, seed=0), first)
    for other in ((images[:-1], 4, 0), (images, 5, 0), (images, 4, 1)):
        with pytest.raises(TypeError):  # not in the cache: it is fitted
            fit_palette(*other)


def test_fit_is_the_same_bit_for_bit_and_survives_a_damaged_cache() -> None:
    images = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8)
    first = fit_palette(images, 24, seed=3)
    for file in (cache_folder() / "palettes").iterdir():
        file.write_bytes(b"")
    np.testing.assert_array_equal(fit_palette(images, 24, seed=3), first)


def test_too_few_colors() -> None:
    with pytest.raises(UserError, match="have only 1 different colors"):
        fit_palette(np.full((2, 4, 4, 3), 9, np.uint8), 24, seed=0)


def test_load_takes_a_plain_array(tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", PALETTE.astype(np.float64))
    loaded = load_palette(tmp_path / "p.npy")
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, PALETTE)


BAD: dict[str, tuple[np.ndarray, str]] = {
    "shape": (PALETTE.T[:, :2], r"has shape \[3, 2\]: it must be \[n, 3\]"),
    "flat": (PALETTE.ravel(), r"has shape \[9\]"),
    "bytes": ((PALETTE * 255).astype(np.uint8), "values outside 0–1"),
    "negative": (PALETTE - 1, "values outside 0–1"),
    "nan": (PALETTE * np.nan, "values outside 0–1"),
    "one": (PALETTE[:1], "must have 2 to 256 colors, not 1"),
    "many": (np.zeros((257, 3)), "must have 2 to 256 colors, not 257"),
    "text": (np.full((4, 3), "red"), "real numbers"),
    "objects": (
        np.asarray([[{}] * 3] * 2, object),
        "not a plain .npy array .*: write one with numpy.save",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_palettes_are_refused(name: str, tmp_path: Path) -> None:
    array, message = BAD[name]
    np.save(tmp_path / "p.npy", array, allow_pickle=True)
    with pytest.raises(UserError, match=message):
        load_palette(tmp_path / "p.npy")


def test_files_that_are_no_arrays_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the palette .*No such file"):
        load_palette(tmp_path / "none.npy")
    (tmp_path / "text.npy").write_text("0.1 0.2 0.3")
    with pytest.raises(UserError, match="not a plain .npy array"):
        load_palette(tmp_path / "text.npy")
    np.savez(tmp_path / "p.npz", PALETTE)
    with pytest.raises(UserError, match="is an archive"):
        load_palette(tmp_path / "p.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "p.npz").read_bytes()[:100])
    with pytest.raises(UserError, match="not a plain .npy array"):
        load_palette(tmp_path / "cut.npz")
    header = np.lib.format.header_data_from_array_1_0(np.zeros((1, 3))) | {"shape": (10**12, 3)}
    with open(tmp_path / "huge.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(UserError, match="not a plain .npy array"):
        load_palette(tmp_path / "huge.npy")


def test_swatches_have_the_colors() -> None:
    image = np.asarray(draw_palette(PALETTE, swatch=32, columns=2))
    assert image.shape == (64, 64, 3)
    np.testing.assert_array_equal(image[31, 63], [255, 0, 0])
    np.testing.assert_array_equal(image[63, 31], [128, 128, 128])
