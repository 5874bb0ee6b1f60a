import io
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from jaxcolor.data import image_files
from jaxcolor.data.image_files import image_suffixes, read_image, read_size
from jaxcolor.errors import UserError

RGB = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[10, 20, 30], [128, 128, 128], [250, 240, 230]]])
RGB = RGB.astype(np.uint8)
GRAY = np.array([[0, 51, 102], [153, 204, 255]], np.uint8)
UPRIGHT = {  # the stored pixels of an image that a viewer shows as RGB, by EXIF orientation
    1: RGB, 2: RGB[:, ::-1], 3: RGB[::-1, ::-1], 4: RGB[::-1],
    5: RGB.transpose(1, 0, 2), 6: RGB.transpose(1, 0, 2)[::-1], 7: RGB.transpose(1, 0, 2)[::-1, ::-1],
    8: RGB.transpose(1, 0, 2)[:, ::-1],
}  # fmt: skip


def encode(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_images_are_upright(orientation: int, format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict = {"lossless": True} if format == "WEBP" else {}
    data = encode(Image.fromarray(np.ascontiguousarray(UPRIGHT[orientation])), format, exif=exif, **options)
    np.testing.assert_array_equal(read_image(data, "image"), RGB)
    assert read_size(data, "image") == (2, 3)


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize("mode", ["L", "RGB", "I;16", "CMYK"])
def test_large_tiffs_are_upright(orientation: int, compression: str | None, mode: str) -> None:
    gray = np.add.outer(np.arange(24), 4 * np.arange(40)).astype(np.uint8)
    turned = {1: gray, 2: gray[:, ::-1], 3: gray[::-1, ::-1], 4: gray[::-1], 5: gray.T, 6: np.rot90(gray),
              7: gray[::-1, ::-1].T, 8: np.rot90(gray, -1)}[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(turned))
    image = image.convert("RGB").convert(mode) if mode != "I;16" else Image.fromarray(turned * np.uint16(257))
    data = encode(image, "TIFF", exif=exif.tobytes(), compression=compression)
    assert read_size(data, "image") == (24, 40)
    np.testing.assert_array_equal(read_image(data, "image"), gray[..., None].repeat(3, axis=-1))


@pytest.mark.parametrize(
    ("image", "format"),
    [
        (Image.fromarray(RGB), "PNG"),
        (Image.fromarray(RGB), "BMP"),
        (Image.fromarray(np.dstack([RGB, np.full((2, 3), 0, np.uint8)])), "PNG"),
        (Image.fromarray(np.dstack([RGB, np.full((2, 3), 128, np.uint8)])), "TIFF"),
        (Image.fromarray(RGB).convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
        (Image.fromarray(RGB).convert("P", palette=Image.Palette.ADAPTIVE), "GIF"),
    ],
)
def test_colors_are_kept_and_alpha_is_dropped(image: Image.Image, format: str) -> None:
    np.testing.assert_array_equal(read_image(encode(image, format), "image"), RGB)


WIDE = GRAY.astype(np.uint16) * 257


@pytest.mark.parametrize(
    ("values", "format"),
    [
        (GRAY, "PNG"),
        (WIDE, "PNG"),
        (WIDE, "TIFF"),
        (WIDE.astype(">u2"), "TIFF"),
        (WIDE.astype(np.int32), "TIFF"),
        (GRAY.astype(np.int32), "TIFF"),
        (GRAY / np.float32(255), "TIFF"),
        (GRAY.astype(np.float32), "TIFF"),
        (WIDE.astype(np.float32), "TIFF"),
    ],
)
def test_gray_values_are_scaled_to_8_bits(values: np.ndarray, format: str) -> None:
    image = read_image(encode(Image.fromarray(values), format), "image")
    np.testing.assert_array_equal(image, GRAY[..., None].repeat(3, -1))


def test_a_dark_16_bit_image_stays_dark() -> None:
    dark = Image.fromarray(np.full((2, 2), 255, np.uint16))
    assert (read_image(encode(dark, "PNG"), "image") == 1).all()


def test_bits_are_black_and_white() -> None:
    bits = Image.fromarray(np.array([[0, 255, 0]], np.uint8)).convert("1")
    assert read_image(encode(bits, "PNG"), "image")[0, :, 0].tolist() == [0, 255, 0]


def test_cmyk_and_gray_with_alpha() -> None:
    cmyk = Image.new("CMYK", (2, 2), (0, 255, 255, 0))
    assert read_image(encode(cmyk, "TIFF"), "image")[0, 0].tolist() == [255, 0, 0]
    assert read_image(encode(Image.new("LA", (2, 2), (77, 0)), "PNG"), "image")[0, 0].tolist() == [77] * 3


@pytest.mark.parametrize("values", [[[np.nan, 0.5]], [[-0.5, 0.5]], [[0, 1e6]]])
def test_values_without_a_known_range_are_refused(values: list) -> None:
    data = encode(Image.fromarray(np.array(values, np.float32)), "TIFF")
    with pytest.raises(UserError, match=r"^map.tif has values from .* to .*: save it with values from 0 to"):
        read_image(data, "map.tif")


def test_the_first_frame_is_used_and_a_line_says_so_once(capsys: pytest.CaptureFixture[str]) -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    for _ in range(2):
        assert read_image(data, "two.gif")[0, 0].tolist() == [255, 0, 0]
    assert capsys.readouterr().err == "two.gif has 2 frames: the first one is used\n"


def test_broken_files_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"text.png is broken, or not an image"):
        read_image(b"text", "text.png")
    data = encode(Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)), "JPEG")
    with pytest.raises(UserError, match=r"half.jpg is broken: image file is truncated"):
        read_image(data[: len(data) // 2], "half.jpg")
    with pytest.raises(UserError, match=r"cannot read .*none.png: No such file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(UserError, match=r"cannot read .*: Is a directory"):
        read_size(tmp_path)


def test_a_broken_exif_block_does_not_concern_the_pixels() -> None:
    for format in ("PNG", "WEBP"):
        data = encode(
            Image.new("RGB", (4, 2), (9, 9, 9)), format, exif=b"Exif\0\0junkjunkjunk", lossless=True
        )
        assert read_image(data, "image").shape == (2, 4, 3)
        assert read_size(data, "image") == (2, 4)


def test_heic_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    image_files._register_heif.cache_clear()
    with pytest.raises(UserError, match=r"phone.heic is a HEIC image: install the package pillow-heif"):
        read_image(data, "phone.heic")
    assert ".heic" in image_suffixes()

    package, registered = ModuleType("pillow_heif"), []
    package.register_heif_opener = lambda: registered.append(True)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pillow_heif", package)
    image_files._register_heif.cache_clear()
    image_suffixes()
    image_suffixes()
    assert registered == [True]
    image_files._register_heif.cache_clear()


def test_suffixes_are_those_of_files_that_can_be_read() -> None:
    assert {".jpg", ".png", ".tif", ".mpo", ".pgm"} <= image_suffixes()
    assert ".pdf" not in image_suffixes()


def test_a_photograph_of_100_megapixels_is_read() -> None:
    large = encode(Image.new("1", (10_000, 10_000)), "PNG")
    assert read_size(large, "large.png") == (10_000, 10_000)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_is_read() -> None:
    image = read_image(encode(Image.new("RGB", (16, 16), (200, 100, 50)), "AVIF"), "image")
    np.testing.assert_allclose(image[8, 8], [200, 100, 50], atol=6)
