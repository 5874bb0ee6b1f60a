import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jaxcolor.data.label_maps import VOID, LabelFormat, read_label_map, read_palette
from jaxcolor.errors import UserError

LABELS = np.array([[0, 1, 2], [2, 255, 1]], np.uint8)
THREE = LabelFormat(3)
COLORS = LabelFormat(3, (((0, 0, 0), 0), ((255, 0, 0), 1), ((0, 0, 255), 2), ((255, 255, 255), VOID)))
IN_COLORS = np.array(
    [[[0, 0, 0], [255, 0, 0], [0, 0, 255]], [[0, 0, 255], [255, 255, 255], [255, 0, 0]]], np.uint8
)


def encode(image: Image.Image | np.ndarray, format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, format, **options)
    return file.getvalue()


def in_palette(labels: np.ndarray, colors: dict[int, tuple[int, int, int]]) -> Image.Image:
    image = Image.fromarray(labels)
    palette = np.zeros((256, 3), np.uint8)
    for label, color in colors.items():
        palette[label] = color
    image.putpalette(palette.tobytes())
    return image


@pytest.mark.parametrize(
    "data",
    [
        encode(LABELS),
        encode(LABELS.astype(np.uint16)),
        encode(np.where(LABELS == 255, 65535, LABELS.astype(np.uint16))),
        encode(LABELS.astype(np.int32), "TIFF"),
        encode(LABELS[..., None].repeat(3, -1)),
        encode(np.dstack([LABELS] * 3 + [np.full_like(LABELS, 255)])),
        encode(Image.fromarray(np.dstack([LABELS, np.full_like(LABELS, 255)]), "LA")),
        encode(in_palette(LABELS, {0: (9, 9, 9), 1: (255, 0, 0), 2: (0, 0, 9), 255: (1, 1, 1)})),
        encode(LABELS, "BMP"),
    ],
)
def test_values_are_labels(data: bytes) -> None:
    found = read_label_map(data, THREE, "mask")
    np.testing.assert_array_equal(found, LABELS)
    assert found.dtype == np.uint8


def test_1_2_and_4_bits_are_labels() -> None:
    bits = Image.fromarray(np.array([[0, 255, 255]], np.uint8)).convert("1")
    assert read_label_map(encode(bits), LabelFormat(2), "mask").tolist() == [[0, 1, 1]]
    for depth in (2, 4):
        labels = np.arange(2**depth, dtype=np.uint8)[None]
        data = write_png(labels, depth)
        assert Image.open(io.BytesIO(data)).mode == "L", "Pillow scales the values"
        np.testing.assert_array_equal(read_label_map(data, LabelFormat(2**depth), "mask"), labels)


@pytest.mark.parametrize("largest", [3, 100, 255, 1000, 65535])
def test_pgm_files_of_any_largest_value_are_labels(largest: int) -> None:
    labels = [0, 1, 2, 3]
    header = f" # a comment\n4 1\n{largest}\n".encode()
    plain = b"P2" + header + b"0 1 2 3\n"
    binary = b"P5" + header + np.array(labels, np.uint8 if largest < 256 else ">u2").tobytes()
    for data in (plain, binary):
        assert read_label_map(data, LabelFormat(4), "mask").tolist() == [labels]


def write_tiff(values: bytes, width: int, bits: int, photometric: int) -> bytes:
    """Return a gray TIFF file of one row."""
    import struct

    tags = {256: width, 257: 1, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: 1, 279: len(values)}
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags.items())
    padded = values + b"\0" * (len(values) % 2)
    return (
        struct.pack("<2sHI", b"II", 42, 8 + len(padded))
        + padded
        + struct.pack("<H", len(tags))
        + entries
        + bytes(4)
    )


def test_tiffs_of_2_and_4_bits_are_labels() -> None:
    assert read_label_map(write_tiff(b"\x1b", 4, 2, 1), LabelFormat(4), "mask").tolist() == [[0, 1, 2, 3]]
    assert read_label_map(write_tiff(b"\x01\x2f", 4, 4, 1), LabelFormat(16), "mask").tolist() == [
        [0, 1, 2, 15]
    ]
    assert read_label_map(write_tiff(b"\0\1\2", 3, 8, 1), THREE, "mask").tolist() == [[0, 1, 2]]
    with pytest.raises(UserError, match="mask is a TIFF file in which 0 is white: save the labels as PNG"):
        read_label_map(write_tiff(b"\0\1\2", 3, 8, 0), THREE, "mask")


def test_what_pillow_would_change_is_refused() -> None:
    with pytest.raises(UserError, match="mask has colors up to 3, not 255: save it as PNG"):
        read_label_map(b"P6 1 1 3\n\0\1\2", COLORS, "mask")
    pages = encode(LABELS, "TIFF", save_all=True, append_images=[Image.fromarray(LABELS)])
    with pytest.raises(UserError, match="mask has 2 pages: save each mask as a file of its own"):
        read_label_map(pages, THREE, "mask")


def write_png(values: np.ndarray, depth: int, channels: int = 1) -> bytes:
    """Return a gray or RGB PNG with `depth` bits per value, which Pillow cannot write."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = values.shape
    bits = (values[..., None] >> np.arange(depth)[::-1]) & 1
    rows = np.packbits(bits.reshape(height, -1), axis=1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width // channels, height, depth, {1: 0, 3: 2}[channels], 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_colors_are_labels_by_their_table() -> None:
    np.testing.assert_array_equal(read_label_map(encode(IN_COLORS), COLORS, "mask"), LABELS)
    # In a palette image, too, the colors count, in whatever order the palette has them.
    for order in ({0: 1, 1: 0, 2: 2, 3: 3}, {0: 3, 1: 2, 2: 1, 3: 0}):
        indices = np.vectorize(order.get)(np.where(LABELS == 255, 3, LABELS)).astype(np.uint8)
        by_label = {0: (0, 0, 0), 1: (255, 0, 0), 2: (0, 0, 255), 3: (255, 255, 255)}
        image = in_palette(indices, {order[label]: color for label, color in by_label.items()})
        np.testing.assert_array_equal(read_label_map(encode(image), COLORS, "mask"), LABELS)
    with pytest.raises(UserError, match=r"mask has the color 0 128 0, which no class has"):
        read_label_map(encode(np.full((2, 2, 3), (0, 128, 0), np.uint8)), COLORS, "mask")


def test_colors_without_a_table_are_refused_with_advice() -> None:
    with pytest.raises(UserError, match=r"mask has colors such as 255 0 0, not labels: .*--classes FILE"):
        read_label_map(encode(IN_COLORS), THREE, "mask")


def test_black_and_white_are_colors_of_a_table() -> None:
    reversed_colors = LabelFormat(2, (((0, 0, 0), 1), ((255, 255, 255), 0)))
    gray = np.array([[0, 255]], np.uint8)
    for image in (
        Image.fromarray(gray),
        Image.fromarray(gray).convert("1"),
        Image.fromarray(gray).convert("LA"),
    ):
        assert read_label_map(encode(image), reversed_colors, "mask").tolist() == [[1, 0]]
    # Next to a table of other colors, gray masks could mean either.
    with pytest.raises(UserError, match="mask is gray, but the file of --classes has colors: if the values"):
        read_label_map(encode(LABELS), COLORS, "mask")


def test_lossy_tiffs_and_colors_of_16_bits_are_refused() -> None:
    with pytest.raises(UserError, match="mask is a JPEG file, which changes the labels"):
        read_label_map(encode(LABELS, "TIFF", compression="jpeg"), THREE, "mask")
    wide = write_png(LABELS[..., None].repeat(3, -1).reshape(2, 9), depth=16, channels=3)
    assert Image.open(io.BytesIO(wide)).size == (3, 2)
    with pytest.raises(UserError, match="mask has colors of 16 bits: save the labels as a gray"):
        read_label_map(wide, THREE, "mask")


def test_binary_masks() -> None:
    binary = LabelFormat(2, binary=True)
    mask = np.array([[0, 255, 255]], np.uint8)
    assert read_label_map(encode(mask), binary, "mask").tolist() == [[0, 1, 1]]
    with pytest.raises(UserError, match=r"mask has the value 128, but the other masks have only 0 and 255"):
        read_label_map(encode(np.array([[0, 128]], np.uint8)), binary, "mask")


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "JPEG2000"])
def test_lossy_formats_are_refused_with_the_reason(format: str) -> None:
    data = encode(LABELS, format) if format == "JPEG" else encode(IN_COLORS, format)
    with pytest.raises(UserError, match=rf"mask is a {format} file, which changes the labels of pixels"):
        read_label_map(data, THREE, "mask")


def test_values_that_are_no_labels_are_named() -> None:
    with pytest.raises(UserError, match=r"mask has label 3, but there are 3 classes, 0 to 2, and void, 255"):
        read_label_map(encode(np.array([[0, 3, 255]], np.uint8)), THREE, "mask")
    with pytest.raises(UserError, match=r"mask has label 300"):
        read_label_map(encode(np.array([[0, 300]], np.uint16)), LabelFormat(255), "mask")
    with pytest.raises(UserError, match=r"mask is no mask: its mode is CMYK"):
        read_label_map(encode(Image.new("CMYK", (2, 2)), "TIFF"), THREE, "mask")


def test_masks_are_turned_as_images_are() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(np.ascontiguousarray(LABELS.T[::-1]), exif=exif)
    np.testing.assert_array_equal(read_label_map(data, THREE, "mask"), LABELS)


def test_a_palette_has_the_colors_of_the_labels_that_occur() -> None:
    colors = {0: (1, 2, 3), 1: (4, 5, 6), 2: (7, 8, 9), 3: (99, 99, 99), 255: (255, 255, 255)}
    assert read_palette(encode(in_palette(LABELS, colors)), "mask") == {
        label: color for label, color in colors.items() if label != 3
    }
    assert read_palette(encode(LABELS), "mask") == {}


def test_formats_survive_config_json() -> None:
    import json

    for label_format in (THREE, COLORS, LabelFormat(2, binary=True)):
        facts = json.loads(json.dumps(label_format.facts))
        assert LabelFormat.from_facts(label_format.classes, facts | {"name": "voc"}) == label_format
    fingerprints = {f.fingerprint for f in (THREE, COLORS, LabelFormat(3, binary=True))}
    assert len(fingerprints) == 3
    assert THREE.fingerprint == ""
