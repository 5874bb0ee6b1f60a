"""Mask files as label maps: the class of each pixel."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from jaxcolor.data.image_files import first_bytes, load, open_image, upright
from jaxcolor.errors import UserError

VOID = 255  # label of pixels without a class, which losses and scores ignore
LOSSY = ("JPEG", "MPO", "JPEG2000", "WEBP", "AVIF", "HEIF")
BITS_PER_SAMPLE, PHOTOMETRIC = 258, 262  # tags of TIFF
Color = tuple[int, int, int]  # red, green and blue, 0 to 255


@dataclass(frozen=True)
class LabelFormat:
    """How the values of mask files become labels.

    `colors` are the label of each color of RGB and palette masks, and if all are gray, of gray masks. Without
    them the values of masks are the labels. With `binary`, 0 and 255 are the classes 0 and 1, and there is no
    void.
    """

    classes: int
    colors: tuple[tuple[Color, int], ...] = ()
    binary: bool = False

    @property
    def has_gray_colors(self) -> bool:
        """Whether all colors are gray, such as black and white. Then gray masks have colors, too."""
        return bool(self.colors) and all(red == green == blue for (red, green, blue), _ in self.colors)

    @property
    def facts(self) -> dict[str, object]:
        """The entries that config.json holds, without the number of classes."""
        entries = {"colors": [[list(color), label] for color, label in self.colors], "binary": self.binary}
        return {name: value for name, value in entries.items() if value}

    @property
    def fingerprint(self) -> str:
        """A short text that differs between formats. It is empty if the values of masks are the labels."""
        facts = json.dumps(self.facts, sort_keys=True).encode()
        return f"-{hashlib.sha256(facts).hexdigest()[:16]}" if self.facts else ""

    @classmethod
    def from_facts(cls, classes: int, facts: Mapping[str, Any]) -> "LabelFormat":
        """Return the format of a run. `facts` may hold other entries, too."""
        colors = tuple((tuple(color), label) for color, label in facts.get("colors", ()))
        return cls(classes, colors, facts.get("binary", False))


def read_label_map(
    source: Path | bytes, label_format: LabelFormat, name: str = ""
) -> UInt8[np.ndarray, "height width"]:
    """Return the label of each pixel of a mask file: 0 to `label_format.classes` - 1, or `VOID`.

    `source` is a path or the bytes of a file. The mask is a palette image whose indices are labels, a gray
    image of 1 to 16 bits or an image with three equal channels, or an image of the colors in
    `label_format`. 65535 is void, too. EXIF's orientation is applied. Raises `UserError` with `name`, by
    default the path, for a broken file, a lossy format, several pages, and values that are no labels.
    """
    name = name or str(source)
    values = _read_values(source, label_format, name)
    if label_format.binary:
        values = np.where(values == 255, 1, np.where(values == 0, 0, values + 256))
    wrong = np.unique(values[(values < 0) | (values >= label_format.classes) & (values != VOID)])
    if len(wrong):
        raise UserError(_explain(wrong, label_format, name))
    return values.astype(np.uint8)


def read_palette(source: Path | bytes, name: str = "") -> dict[int, Color]:
    """Return the colors of the indices that occur in a palette mask, and nothing for other masks."""
    name = name or str(source)
    with open_image(source, name) as image:
        if image.mode != "P":
            return {}
        load(image, name)
        colors = np.array(image.getpalette("RGB"), int).reshape(-1, 3)
        used = [index for index, count in enumerate(image.histogram()[: len(colors)]) if count]
        return {index: tuple(colors[index].tolist()) for index in used}


def _read_values(source: Path | bytes, label_format: LabelFormat, name: str) -> Int[np.ndarray, "_ _"]:
    with open_image(source, name) as image:
        lossy = image.format if image.format in LOSSY else image.info.get("compression")
        if lossy in (*LOSSY, "jpeg", "webp"):
            raise UserError(
                f"{name} is a {lossy.upper()} file, which changes the labels of pixels: save masks as PNG"
            )
        scaled_from = _check_depth(source, image, name)
        load(image, name)
        if (pages := getattr(image, "n_frames", 1)) > 1:
            raise UserError(f"{name} has {pages} pages: save each mask as a file of its own")
        image = upright(image)
        if label_format.colors and (image.mode in ("P", "PA") or label_format.has_gray_colors):
            image = image.convert("RGB")
        elif label_format.colors and image.mode not in ("RGB", "RGBA"):
            raise UserError(
                f"{name} is gray, but the file of --classes has colors: if the values of the masks are the "
                "labels, leave the colors out of that file"
            )
        if image.mode in ("PA", "LA"):
            image = image.getchannel(0)
        if image.mode in ("P", "L", "1", "I") or image.mode.startswith("I;16"):
            values = np.asarray(image).astype(np.int64)
            if scaled_from:
                white = 65535 if image.mode == "I" else 255
                values = (values * scaled_from + white // 2) // white
            return np.where(values == 65535, VOID, values)
        if image.mode in ("RGB", "RGBA"):
            return _read_colors(np.asarray(image)[..., :3].astype(np.int64), label_format, name)
    raise UserError(f"{name} is no mask: its mode is {image.mode}; save the labels as a gray or palette PNG")


def _check_depth(source: Path | bytes, image: Image.Image, name: str) -> int | None:
    """Return the largest value of a gray file whose values Pillow scales to 255 or 65535, or None.

    Raises `UserError` for other files whose values Pillow changes.
    """
    bits = 8
    if image.format == "PPM" and image.mode in ("L", "I", "RGB"):
        header = re.sub(rb"#[^\r\n]*", b"", first_bytes(source, 2**16)).split(maxsplit=4)
        largest = int(header[3])  # after the format, the width and the height
        if image.mode == "RGB" and largest != 255:
            raise UserError(f"{name} has colors up to {largest}, not 255: save it as PNG")
        return largest
    if image.format == "PNG":
        bits = first_bytes(source, 25)[24]  # of the first chunk, IHDR
        if bits == 16 and not image.mode.startswith("I"):
            raise UserError(f"{name} has colors of 16 bits: save the labels as a gray or palette PNG")
    elif isinstance(image, TiffImageFile) and image.mode == "L":
        bits = image.tag_v2.get(BITS_PER_SAMPLE, (8,))[0]
        if image.tag_v2.get(PHOTOMETRIC) == 0:
            raise UserError(f"{name} is a TIFF file in which 0 is white: save the labels as PNG")
    return 2**bits - 1 if image.mode == "L" and bits < 8 else None


def _read_colors(
    image: Int[np.ndarray, "_ _ 3"], label_format: LabelFormat, name: str
) -> Int[np.ndarray, "_ _"]:
    """Return the labels of colors. Without a table of colors, three equal channels are the label."""
    if not label_format.colors:
        if (image == image[..., :1]).all():
            return image[..., 0]
        red, green, blue = image[(image != image[..., :1]).any(axis=-1)][0]
        raise UserError(
            f"{name} has colors such as {red} {green} {blue}, not labels: give the color of each class with "
            "--classes FILE, one line NAME RED GREEN BLUE per class"
        )
    codes = _codes(image)
    found, inverse = np.unique(codes, return_inverse=True)
    table = np.array([color for color, _ in label_format.colors])
    labels = dict(zip(_codes(table).tolist(), [label for _, label in label_format.colors], strict=True))
    unknown = [code for code in found.tolist() if code not in labels]
    if unknown:
        red, green, blue = unknown[0] >> 16, unknown[0] >> 8 & 255, unknown[0] & 255
        raise UserError(
            f"{name} has the color {red} {green} {blue}, which no class has: add its line to the file of "
            "--classes, NAME RED GREEN BLUE, or void RED GREEN BLUE"
        )
    return np.array([labels[code] for code in found.tolist()], np.int64)[inverse.reshape(codes.shape)]


def _codes(colors: Int[np.ndarray, "*shape 3"]) -> Int[np.ndarray, "*shape"]:
    return colors[..., 0] << 16 | colors[..., 1] << 8 | colors[..., 2]


def _explain(wrong: Int[np.ndarray, " _"], label_format: LabelFormat, name: str) -> str:
    if label_format.binary:
        return f"{name} has the value {wrong[0] - 256}, but the other masks have only 0 and 255: use one kind"
    highest = label_format.classes - 1
    return (
        f"{name} has label {wrong[0]}, but there are {label_format.classes} classes, 0 to {highest}, and "
        f"void, {VOID}: name all classes with --classes"
    )
