"""Colored image files: with the format, EXIF data, color profile, resolution and alpha of the original.

The orientation is an exception: the pixels are turned as it says, and its tag is removed.
"""

import contextlib
import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageCms, TiffImagePlugin

from jaxcolor.data.image_files import (
    BROKEN_METADATA,
    ORIENTATION,
    decode,
    first_bytes,
    is_turned,
    open_image,
    to_rgb,
)
from jaxcolor.errors import UserError, reason
from jaxcolor.files import write_atomically
from jaxcolor.images import image_format

ImageArray = UInt8[np.ndarray, "height width 3"]

# The formats that hold a colored photograph well, and how they are written. Others become PNG.
WRITTEN: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "WEBP": {"quality": 95},
    "TIFF": {},
    "BMP": {},
    "JPEG2000": {},
}
WITH_ALPHA = ("PNG", "WEBP", "TIFF", "BMP", "JPEG2000")
# Compressions of a TIFF that lose nothing and hold color. Others, such as those of fax machines, become LZW.
TIFF_COMPRESSIONS = ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits")
# The tags of a TIFF that do not describe how its pixels are stored: texts, dates, EXIF and GPS.
TIFF_TAGS = {269, 270, 271, 272, 285, 305, 306, 315, 316, 33432, 34665, 34853}
POINTERS = {34665, 34853, 40965}  # tags that stand for further blocks: EXIF, GPS and interoperability
LONGEST_EXIF = 65_533  # bytes, in a JPEG
X_RESOLUTION = 282  # the tag of a TIFF
HIGHEST_DPI = 65_535  # in a JPEG
COLORED = 12  # an image is in color if red, green and blue of some pixel differ by more


class ColorFile:
    """Color files with a function from RGB images to RGB images, in sRGB.

    `sees_colors` says that the function makes use of the colors of its images.
    """

    def __init__(self, color: Callable[[ImageArray], ImageArray], sees_colors: bool = False):
        self._color = color
        self._knows_colors = sees_colors

    def __call__(self, source: Path, target: Path) -> tuple[list[Path], str]:
        """Color a file. Return the path of the colored one, and a note for the terminal.

        If the target has the suffix of the source, it gets the format of the source, even if that suffix
        is wrong; otherwise that of its own suffix. If the format of the source cannot hold a colored
        photograph, the path is that of the target with .png appended. The note on colors comes once. Raises
        `UserError` if the source is no image, or if Pillow cannot write the result.
        """
        original = read_original(source)
        note = ""
        if not self._knows_colors and np.ptp(original.rgb, axis=-1).max() > COLORED:
            self._knows_colors = True
            note = "has colors, which are replaced: "
        kind = original.kind
        if target.suffix.lower() != source.suffix.lower():
            kind = image_format(target)
        elif kind not in WRITTEN:
            note += f"as PNG, because {kind} does not hold a colored photograph: "
            kind, target = "PNG", target.with_name(f"{target.name}.png")
        write_colored(target, np.asarray(self._color(original.rgb)), original, kind)
        return [target], note


class Original(NamedTuple):
    """An image to color, and what its colored file keeps of it."""

    rgb: ImageArray  # in sRGB
    alpha: Image.Image | None
    kind: str  # Pillow's name of the format
    options: dict[str, Any]  # of Pillow's `save`
    from_srgb: Callable[[Image.Image], Image.Image]  # into the color space of the file


def read_original(source: Path) -> Original:
    """Read an image file, upright and in sRGB. Raises `UserError` if it is broken or not an image."""
    name = str(source)
    with open_image(source, name) as image:
        turned = is_turned(image)
        pixels = decode(image, name)
        kind = "JPEG" if image.format == "MPO" else image.format or "PNG"
        options = metadata(image, turned) | storage(image, source)
        alpha = alpha_of(pixels)
        profile = image.info.get("icc_profile")
        if profile:
            with contextlib.suppress(*BROKEN_METADATA):
                rgb, from_srgb, keeps_profile = convert(pixels, profile, name)
                options |= {"icc_profile": profile} if keeps_profile else {}
                return Original(rgb, alpha, kind, options, from_srgb)
        return Original(to_rgb(pixels, name), alpha, kind, options, lambda colors: colors)


def write_colored(target: Path, colors: ImageArray, original: Original, kind: str) -> None:
    """Write the colors of an image in a format of Pillow, complete or not at all."""
    image = original.from_srgb(Image.fromarray(colors))
    if original.alpha and kind in WITH_ALPHA:
        image.putalpha(original.alpha)
    options = original.options | WRITTEN.get(kind, {})
    if kind == "JPEG" and len(options.get("exif", b"")) > LONGEST_EXIF:
        del options["exif"]
    try:
        write_atomically(target, lambda file: image.save(file, format=kind, **options))
    except (ValueError, OverflowError, struct.error, KeyError, TypeError, RuntimeError) as error:
        raise UserError(f"cannot write {target} as {kind}: {reason(error)}; choose another format") from error


def alpha_of(image: Image.Image) -> Image.Image | None:
    """Return the alpha of an image, also where a color or a palette entry stands for it, or None."""
    if not image.has_transparency_data:
        return None
    if image.mode.startswith("I;16"):  # Pillow's conversion drops it
        opaque = np.asarray(image) != image.info["transparency"]
        return Image.fromarray(np.where(opaque, 255, 0).astype(np.uint8))
    return image.convert("RGBA").getchannel("A")


def metadata(image: Image.Image, turned: bool) -> dict[str, Any]:
    """Return EXIF without orientation, and the resolution. What is broken is left out."""
    options: dict[str, Any] = {}
    with contextlib.suppress(*BROKEN_METADATA):
        exif = image.getexif()
        kept = Image.Exif()  # in the format of EXIF, also for a BigTIFF
        for tag in set(exif) - {ORIENTATION}:
            if image.format != "TIFF" or tag in TIFF_TAGS:
                kept[tag] = exif.get_ifd(tag) if tag in POINTERS else exif[tag]
        if len(kept):
            options["exif"] = kept.tobytes()
    with contextlib.suppress(*BROKEN_METADATA):
        if isinstance(image, TiffImagePlugin.TiffImageFile) and X_RESOLUTION not in image.tag_v2:
            return options  # Pillow makes up 1 dpi
        across, down = map(float, image.info["dpi"])
        if min(across, down) > 0 and max(across, down) <= HIGHEST_DPI:  # and not NaN
            options["dpi"] = (down, across) if turned else (across, down)
    return options


def storage(image: Image.Image, source: Path) -> dict[str, Any]:
    """Return how a TIFF is compressed, and whether a WebP is lossless."""
    if image.format == "TIFF":
        compression = image.info.get("compression")
        return {"compression": compression if compression in TIFF_COMPRESSIONS else "tiff_lzw"}
    if image.format == "WEBP":
        return {"lossless": b"VP8L" in first_bytes(source, 2**20)}
    return {}


def convert(
    pixels: Image.Image, profile: bytes, name: str
) -> tuple[ImageArray, Callable[[Image.Image], Image.Image], bool]:
    """Return an image in sRGB, the way back to its color profile, and whether the profile holds for colors.

    Raises one of `BROKEN_METADATA` if the profile cannot be used.
    """
    source, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    space = source.profile.xcolor_space.strip()
    if space == "CMYK" and pixels.mode == "CMYK":
        converted = ImageCms.applyTransform(pixels, ImageCms.buildTransform(source, srgb, "CMYK", "RGB"))
        return np.asarray(converted), lambda colors: colors, False
    rgb = to_rgb(pixels, name)
    if space == "GRAY":
        to_srgb = ImageCms.buildTransform(source, srgb, "L", "RGB")
        converted = ImageCms.applyTransform(Image.fromarray(rgb[..., 0]), to_srgb)
        return np.asarray(converted), lambda colors: colors, False
    if space != "RGB" or "srgb" in ImageCms.getProfileDescription(source).lower():
        return rgb, lambda colors: colors, space == "RGB"
    to_srgb = ImageCms.buildTransform(source, srgb, "RGB", "RGB")
    from_srgb = ImageCms.buildTransform(srgb, source, "RGB", "RGB")

    def back(colors: Image.Image) -> Image.Image:
        return ImageCms.applyTransform(colors, from_srgb) or colors

    return np.asarray(ImageCms.applyTransform(Image.fromarray(rgb), to_srgb)), back, True
