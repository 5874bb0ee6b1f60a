"""What colored files keep of their originals: format, metadata, resolution, color profile and alpha."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from jaxcolor.colored_files import ColorFile, read_original
from jaxcolor.errors import UserError

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (24, 40), np.uint8)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swap(image: np.ndarray) -> np.ndarray:
    """A colorizer: gray becomes blue-ish, in a way that can be told from the input."""
    assert image.ndim == 3
    assert image.dtype == np.uint8
    return np.stack([image[..., 0] // 2, image[..., 0], 255 - image[..., 0] // 4], axis=-1)


def color(source: Path, target: Path) -> Image.Image:
    (written,), _ = ColorFile(swap)(source, target)
    image = Image.open(written)
    image.load()
    return image


def expected(gray: np.ndarray = GRAY) -> np.ndarray:
    return swap(gray[..., None].repeat(3, axis=-1))


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [("a.png", 0), ("a.tif", 0), ("a.bmp", 0), ("a.jpg", 12), ("a.webp", 20), ("a.jp2", 20)],
)
def test_the_format_and_the_resolution_are_kept(tmp_path: Path, name: str, tolerance: int) -> None:
    smooth = np.linspace(0, 255, 40).astype(np.uint8)[None].repeat(24, axis=0)
    Image.fromarray(smooth).save(tmp_path / name, dpi=(300, 200))
    original = Image.open(tmp_path / name)
    colored = color(tmp_path / name, tmp_path / "out" / name)
    assert colored.format == original.format
    assert colored.mode == "RGB"
    assert ("dpi" in colored.info) == ("dpi" in original.info)
    if "dpi" in original.info:
        np.testing.assert_allclose(
            np.array(colored.info["dpi"], float), np.array(original.info["dpi"], float)
        )
    difference = np.asarray(colored).astype(int) - expected(np.asarray(original.convert("L")))
    assert np.abs(difference).max() <= tolerance


def test_a_lossless_webp_stays_lossless(tmp_path: Path) -> None:
    Image.fromarray(GRAY).convert("RGB").save(tmp_path / "a.webp", lossless=True, icc_profile=SRGB)
    colored = color(tmp_path / "a.webp", tmp_path / "b.webp")
    np.testing.assert_array_equal(colored, expected())
    assert colored.info["icc_profile"] == SRGB


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
def test_exif_is_kept_without_the_orientation(tmp_path: Path, name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "A camera"
    exif.get_ifd(0x8769)[0x9003] = "1944:06:06 12:00:00"
    smooth = np.add.outer(np.arange(24), 4 * np.arange(40)).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / name, exif=exif.tobytes(), dpi=(300, 150))
    colored = color(tmp_path / name, tmp_path / "out" / name)
    turned = {1: smooth, 3: smooth[::-1, ::-1], 6: np.rot90(smooth, -1), 8: np.rot90(smooth)}[orientation]
    assert np.abs(np.asarray(colored).astype(int) - expected(turned)).max() <= 25
    found = colored.getexif()
    assert found.get(0x0112, 1) == 1
    assert found[0x010F] == "A camera"
    assert found.get_ifd(0x8769)[0x9003] == "1944:06:06 12:00:00"
    if name != "a.webp":
        wanted = (150, 300) if orientation in (6, 8) else (300, 150)
        np.testing.assert_allclose(np.array(colored.info["dpi"], float), wanted, rtol=1e-3)


def test_a_broken_exif_block_is_left_out(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "a.jpg", exif=b"Exif\x00\x00MM\x00\x2a\x00\x00")
    assert not color(tmp_path / "a.jpg", tmp_path / "b.jpg").getexif()


@pytest.mark.parametrize("mode", ["LA", "RGBA", "PA", "P"])
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_alpha_is_kept(tmp_path: Path, mode: str, name: str) -> None:
    alpha = RNG.integers(0, 256, GRAY.shape, np.uint8)
    image = Image.fromarray(np.stack([GRAY, alpha], axis=-1), "LA")
    if mode == "P":
        image = Image.fromarray(GRAY).convert("P")
        alpha = np.where(np.asarray(image) == 7, 0, 255).astype(np.uint8)
    options: dict[str, Any] = {"transparency": 7} if mode == "P" else {}
    if name == "a.webp":
        options = {"lossless": True, "exact": True}
        image, alpha = (image.convert("RGBA"), alpha) if mode != "P" else (image, np.full_like(alpha, 255))
    elif mode in ("RGBA", "PA"):
        image = image.convert(mode)
    try:
        image.save(tmp_path / name, **options)
    except OSError:
        pytest.skip(f"Pillow does not write {mode} into this format")
    with Image.open(tmp_path / name) as original:
        if not original.has_transparency_data:
            pytest.skip("the file has no alpha")
        alpha = np.asarray(original.convert("RGBA"))[..., 3]
    colored = color(tmp_path / name, tmp_path / "out" / name)
    assert colored.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(colored)[..., 3], alpha)


def test_alpha_is_dropped_where_the_format_has_none(tmp_path: Path) -> None:
    Image.fromarray(np.stack([GRAY, GRAY], axis=-1), "LA").save(tmp_path / "a.png")
    assert color(tmp_path / "a.png", tmp_path / "out.jpg").mode == "RGB"


@pytest.mark.parametrize(
    ("mode", "name"), [("1", "a.png"), ("1", "a.tif"), ("1", "a.bmp"), ("P", "a.bmp"), ("I;16", "a.png"),
                       ("I;16", "a.tif"), ("CMYK", "a.jpg"), ("CMYK", "a.tif"), ("F", "a.tif")],
)  # fmt: skip
def test_other_kinds_of_pixels_are_read(tmp_path: Path, mode: str, name: str) -> None:
    gray = np.linspace(0, 255, 40).astype(np.uint8)[None].repeat(24, axis=0)
    if mode == "1":
        gray = np.where(gray > 127, 255, 0).astype(np.uint8)
        Image.fromarray(gray).convert("1").save(
            tmp_path / name, **({"compression": "group4"} if "tif" in name else {})
        )
    elif mode == "I;16":
        Image.fromarray(gray.astype(np.uint16) * 257).save(tmp_path / name)
    elif mode == "F":
        Image.fromarray(gray.astype(np.float32)).save(tmp_path / name)
    elif mode == "CMYK":
        Image.fromarray(gray).convert("RGB").convert("CMYK").save(tmp_path / name)
    else:
        Image.fromarray(gray).convert(mode).save(tmp_path / name)
    colored = color(tmp_path / name, tmp_path / "out" / name)
    assert colored.mode == "RGB"
    assert np.abs(np.asarray(colored).astype(int) - expected(gray)).max() <= 20


def test_a_format_that_does_not_hold_color_becomes_png(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "a.gif")
    (written,), note = ColorFile(swap)(tmp_path / "a.gif", tmp_path / "out" / "a.gif")
    assert written == tmp_path / "out" / "a.gif.png"
    assert note == "as PNG, because GIF does not hold a colored photograph: "
    np.testing.assert_array_equal(Image.open(written), expected())


def test_the_suffix_of_another_target_decides_its_format(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "a.png")
    assert color(tmp_path / "a.png", tmp_path / "b.jpg").format == "JPEG"
    with pytest.raises(UserError, match=r"no image format has the suffix \.xyz"):
        ColorFile(swap)(tmp_path / "a.png", tmp_path / "b.xyz")
    # A file with a wrong suffix keeps both.
    Image.fromarray(GRAY).save(tmp_path / "wrong.jpg", format="PNG")
    assert color(tmp_path / "wrong.jpg", tmp_path / "out" / "wrong.jpg").format == "PNG"


def test_that_colors_are_replaced_is_said_once(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "gray.png")
    for name in ("a.png", "b.png"):
        Image.fromarray(RNG.integers(0, 256, (8, 8, 3), np.uint8)).save(tmp_path / name)
    color_file = ColorFile(swap)
    notes = [
        color_file(tmp_path / name, tmp_path / "out" / name)[1] for name in ("gray.png", "a.png", "b.png")
    ]
    assert notes == ["", "has colors, which are replaced: ", ""]


def test_an_srgb_profile_is_kept(tmp_path: Path) -> None:
    image = Image.fromarray(GRAY).convert("RGB")
    image.save(tmp_path / "srgb.png", icc_profile=SRGB)
    colored = color(tmp_path / "srgb.png", tmp_path / "out.png")
    assert colored.info["icc_profile"] == SRGB
    np.testing.assert_array_equal(colored, expected())


def test_a_wide_gamut_is_converted_and_back(tmp_path: Path) -> None:
    """A profile that exchanges red and blue: sRGB's, with the two primaries exchanged."""
    data = bytearray(SRGB)
    tags = {}
    for i in range(int.from_bytes(data[128:132], "big")):
        start = 132 + 12 * i
        tags[bytes(data[start : start + 4])] = start
    red, blue = (bytes(data[tags[name] + 4 : tags[name] + 12]) for name in (b"rXYZ", b"bXYZ"))
    data[tags[b"rXYZ"] + 4 : tags[b"rXYZ"] + 12] = blue
    data[tags[b"bXYZ"] + 4 : tags[b"bXYZ"] + 12] = red
    at, size = (
        int.from_bytes(data[tags[b"desc"] + 4 * i : tags[b"desc"] + 4 * i + 4], "big") for i in (1, 2)
    )
    data[at : at + size] = bytes(data[at : at + size]).replace(
        "sRGB".encode("utf-16-be"), "BGRs".encode("utf-16-be")
    )
    exchanged = bytes(data)
    assert "sRGB" not in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(exchanged)))
    colors = np.stack([GRAY, GRAY // 2, 0 * GRAY], axis=-1)
    Image.fromarray(colors).save(tmp_path / "a.png", icc_profile=exchanged)
    original = read_original(tmp_path / "a.png")
    assert np.abs(original.rgb.astype(int) - colors[..., ::-1]).max() <= 2
    (written,), _ = ColorFile(lambda image: image)(tmp_path / "a.png", tmp_path / "b.png")
    with Image.open(written) as image:
        assert image.info["icc_profile"] == exchanged
        assert np.abs(np.asarray(image).astype(int) - colors).max() <= 2


def test_a_broken_profile_is_ignored(tmp_path: Path) -> None:
    Image.fromarray(GRAY).convert("RGB").save(tmp_path / "a.png", icc_profile=b"no profile")
    colored = color(tmp_path / "a.png", tmp_path / "b.png")
    np.testing.assert_array_equal(colored, expected())
    assert "icc_profile" not in colored.info


def test_the_original_stays_if_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(GRAY).save(tmp_path / "a.png")
    (tmp_path / "out.png").write_bytes(b"earlier")

    def fail(self: Image.Image, *arguments: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="No space left"):
        ColorFile(swap)(tmp_path / "a.png", tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes() == b"earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "out.png"]


def test_a_gray_and_a_cmyk_profile_are_converted(tmp_path: Path) -> None:
    """A gray profile of linear light: its values are much lighter in sRGB."""
    gray_profile = linear_gray_profile()
    Image.fromarray(GRAY).save(tmp_path / "a.png", icc_profile=gray_profile)
    original = read_original(tmp_path / "a.png")
    light = GRAY / 255
    expected_srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    difference = np.abs(original.rgb[..., 0] - 255 * expected_srgb)
    assert difference.max() <= 12  # of dark pixels, which 8 bits of linear light hold coarsely
    assert difference.mean() <= 1
    assert "icc_profile" not in original.options
    # No CMYK profile is at hand: one of another color space than the pixels is ignored.
    Image.fromarray(GRAY).convert("RGB").convert("CMYK").save(tmp_path / "b.jpg", icc_profile=gray_profile)
    assert "icc_profile" not in read_original(tmp_path / "b.jpg").options


def linear_gray_profile() -> bytes:
    """Return a minimal ICC profile of gray with a gamma of 1."""
    text = b"linear gray\0"
    description = b"desc" + bytes(4) + len(text).to_bytes(4, "big") + text + bytes(12 + 67)
    white = b"XYZ " + bytes(4) + b"".join(round(v * 65536).to_bytes(4, "big") for v in (0.9642, 1.0, 0.8249))
    curve = b"curv" + bytes(4) + bytes(4)  # no entries: the identity
    parts = {b"desc": description, b"wtpt": white, b"kTRC": curve}
    table, data, start = b"", b"", 128 + 4 + 12 * len(parts)
    for name, part in parts.items():
        part += bytes(-len(part) % 4)
        table += name + (start + len(data)).to_bytes(4, "big") + len(part).to_bytes(4, "big")
        data += part
    body = len(parts).to_bytes(4, "big") + table + data
    header = bytearray(128)
    header[0:4] = (128 + len(body)).to_bytes(4, "big")
    header[8:12] = bytes([2, 0x40, 0, 0])
    header[12:24] = b"mntrGRAYXYZ "
    header[36:40] = b"acsp"
    header[68:80] = white[8:]
    return bytes(header) + body


@pytest.mark.parametrize(
    ("compression", "kept"),
    [
        ("tiff_adobe_deflate", "tiff_adobe_deflate"),
        (None, "raw"),
        ("tiff_lzw", "tiff_lzw"),
        ("jpeg", "tiff_lzw"),
    ],
)
def test_a_lossless_compression_of_a_tiff_is_kept(tmp_path: Path, compression: str | None, kept: str) -> None:
    Image.fromarray(GRAY).convert("RGB").save(tmp_path / "a.tif", compression=compression)
    assert color(tmp_path / "a.tif", tmp_path / "b.tif").info["compression"] == kept


def test_exif_that_a_jpeg_cannot_hold_is_left_out(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "x" * 70_000
    Image.fromarray(GRAY).save(tmp_path / "a.png", exif=exif.tobytes())
    assert len(color(tmp_path / "a.png", tmp_path / "b.png").getexif()[0x010E]) == 70_000
    assert not color(tmp_path / "a.png", tmp_path / "b.jpg").getexif()


@pytest.mark.parametrize("dpi", [(0, 0), (100_000, 100_000)])
def test_a_resolution_without_sense_is_left_out(tmp_path: Path, dpi: tuple[int, int]) -> None:
    Image.fromarray(GRAY).save(tmp_path / "a.tif", dpi=dpi)
    assert "dpi" not in read_original(tmp_path / "a.tif").options
    color(tmp_path / "a.tif", tmp_path / "b.jpg")


def test_an_image_that_its_format_cannot_hold_is_one_line(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((1, 17_000), np.uint8)).save(tmp_path / "a.png")  # WebP ends at 16,383 pixels
    with pytest.raises(UserError, match=r"cannot write .*b\.webp"):
        color(tmp_path / "a.png", tmp_path / "b.webp")
    assert not (tmp_path / "b.webp").exists()


def test_a_bigtiff_keeps_its_texts(tmp_path: Path) -> None:
    texts: Any = {"description": "a large scan", "metadata": None}  # otherwise tifffile adds a description
    tifffile.imwrite(tmp_path / "a.tif", GRAY, bigtiff=True, resolution=(600, 600), **texts)
    colored = color(tmp_path / "a.tif", tmp_path / "out" / "a.tif")
    np.testing.assert_array_equal(colored, expected())
    assert colored.getexif()[0x010E] == "a large scan"
    assert colored.info["dpi"] == (600, 600)


def test_a_resolution_that_is_not_there_is_not_made_up(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "a.tif")
    with Image.open(tmp_path / "a.tif") as image:
        assert image.info.get("dpi", (1, 1)) == (1, 1)
    assert "dpi" not in read_original(tmp_path / "a.tif").options


@pytest.mark.parametrize("bits", [8, 16])
def test_a_negative_tiff_is_read_as_a_positive(tmp_path: Path, bits: int) -> None:
    values = GRAY if bits == 8 else GRAY.astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "a.tif", np.iinfo(values.dtype).max - values, photometric="miniswhite")
    np.testing.assert_array_equal(read_original(tmp_path / "a.tif").rgb[..., 0], GRAY)


def test_the_transparent_value_of_a_16_bit_png_becomes_alpha(tmp_path: Path) -> None:
    values = GRAY.astype(np.uint16) * 257
    Image.fromarray(values).save(tmp_path / "a.png", transparency=int(values[3, 4]))
    colored = color(tmp_path / "a.png", tmp_path / "b.png")
    np.testing.assert_array_equal(np.asarray(colored)[..., 3], np.where(GRAY[3, 4] == GRAY, 0, 255))


def test_broken_later_frames_do_not_matter(tmp_path: Path) -> None:
    frames = [Image.fromarray(GRAY), Image.fromarray(GRAY)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    data = bytearray((tmp_path / "a.tif").read_bytes())
    second = int.from_bytes(data[4:8], "little")
    entries = int.from_bytes(data[second : second + 2], "little")
    place = second + 2 + 12 * entries
    data[place : place + 4] = (len(data) + 100).to_bytes(4, "little")  # the second one is behind the end
    (tmp_path / "a.tif").write_bytes(data)
    np.testing.assert_array_equal(read_original(tmp_path / "a.tif").rgb[..., 0], GRAY)
