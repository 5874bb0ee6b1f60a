"""Image files of any format that Pillow reads, as uint8 RGB."""

import io
import struct
import sys
import warnings
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageCms, ImageOps, TiffImagePlugin, UnidentifiedImageError

from jaxcolor.errors import UserError, reason

Size = tuple[int, int]  # height and width, in pixels
HEIF_SUFFIXES = (".heic", ".heif")
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
ORIENTATION = 0x0112  # EXIF's tag
PHOTOMETRIC, MIN_IS_WHITE = 262, 0  # a tag of TIFFs
TURNED = (5, 6, 7, 8)  # orientations that exchange height and width
# What Pillow raises for broken EXIF blocks and color profiles.
BROKEN_METADATA = (OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error, ImageCms.PyCMSError)

# Pillow warns of larger images, because they may be an attack. Its own limit is 89 megapixels.
Image.MAX_IMAGE_PIXELS = 250_000_000


def read_image(source: Path | bytes, name: str = "") -> UInt8[np.ndarray, "height width 3"]:
    """Return an image file as RGB, upright as its EXIF orientation says, without alpha.

    `source` is a path or the bytes of a file. 16-bit and floating-point images are scaled to 8 bits. The
    first frame of an animation is used, and a line says so once per file. Raises `UserError` with `name`, by
    default the path, if the file is broken or not an image.
    """
    name = name or str(source)
    with open_image(source, name) as image:
        return to_rgb(image, name)


def to_rgb(image: Image.Image, name: str) -> UInt8[np.ndarray, "height width 3"]:
    """Return a Pillow image as `read_image` does."""
    image = decode(image, name)
    if image.mode.startswith(("I", "F")):
        return _to_8_bits(np.asarray(image), image.mode, name)[..., None].repeat(3, axis=-1)
    return np.asarray(image.convert("RGB"))


def decode(image: Image.Image, name: str) -> Image.Image:
    """Return the first frame of an opened image, decoded and upright. Raises `UserError` if it is broken."""
    load(image, name)
    if image.format != "MPO" and (frames := _count_frames(image)) > 1:
        _say_once(f"{name} has {frames} frames: the first one is used")
    return _inverted(image) if _is_negative(image) else upright(image)


def _count_frames(image: Image.Image) -> int:
    """Return the number of frames, or 1 if the later ones are broken."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return getattr(image, "n_frames", 1)
    except BROKEN_METADATA:
        return 1


def _is_negative(image: Image.Image) -> bool:
    """Return whether 0 is white in a 16-bit TIFF. Pillow inverts others itself."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    return image.mode.startswith("I;16") and image.tag_v2.get(PHOTOMETRIC) == MIN_IS_WHITE


def _inverted(image: Image.Image) -> Image.Image:
    values = np.asarray(upright(image))
    return Image.fromarray(np.iinfo(np.uint16).max - values.astype(np.uint16))


def read_size(source: Path | bytes, name: str = "") -> Size:
    """Return height and width of an upright image file without decoding it. Raises `UserError`."""
    name = name or str(source)
    with open_image(source, name) as image:
        if image.format == "TIFF":  # some versions of Pillow turn it when it is opened, others when decoded
            load(image, name)
            image = upright(image)
            return image.height, image.width
        return (image.width, image.height) if is_turned(image) else (image.height, image.width)


def open_image(source: Path | bytes, name: str) -> Image.Image:
    """Open an image file with Pillow. Raises `UserError` with `name`."""
    _register_heif()
    try:
        image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
        if not _is_turned_tiff(image):
            return image
        image.close()
        return _open_with_libtiff(source)
    except UnidentifiedImageError as error:
        if _is_heif(source):
            raise UserError(f"{name} is a HEIC image: install the package pillow-heif to read it") from error
        raise UserError(f"{name} is broken, or not an image") from error
    except Image.DecompressionBombError as error:
        raise UserError(f"{name} is too large: {reason(error)}") from error
    except (OSError, SyntaxError, ValueError, RuntimeError, TypeError) as error:
        raise UserError(f"cannot read {name}: {reason(error)}") from error


def _is_turned_tiff(image: Image.Image) -> bool:
    return isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(ORIENTATION) in TURNED


def _open_with_libtiff(source: Path | bytes) -> Image.Image:
    """Open a TIFF that is stored on its side: the own decoder of Pillow 13.0 scrambles it if uncompressed."""
    before, TiffImagePlugin.READ_LIBTIFF = TiffImagePlugin.READ_LIBTIFF, True
    try:
        return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
    finally:
        TiffImagePlugin.READ_LIBTIFF = before


def load(image: Image.Image, name: str) -> None:
    """Decode an opened image. Raises `UserError` with `name` if the file is broken."""
    try:
        image.load()
    except Image.DecompressionBombError as error:
        raise UserError(f"{name} is too large: {reason(error)}") from error
    except (OSError, SyntaxError, ValueError, EOFError, RuntimeError, TypeError) as error:
        raise UserError(f"{name} is broken: {reason(error)}") from error


def upright(image: Image.Image) -> Image.Image:
    """Return an image turned as its EXIF orientation says, or as it is if its EXIF block is broken."""
    try:
        return ImageOps.exif_transpose(image)
    except BROKEN_METADATA:
        return image


def is_turned(image: Image.Image) -> bool:
    """Return whether an opened image is stored on its side. Decoding it may lose that."""
    return orientation(image) in TURNED


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an opened image, or 1, that of an upright one. Decoding may lose it."""
    try:
        return image.getexif().get(ORIENTATION, 1)
    except BROKEN_METADATA:
        return 1  # a broken EXIF block does not concern the pixels


def image_suffixes() -> set[str]:
    """Return the suffixes of image files, in lower case. HEIC is one of them, even if it cannot be read.

    Pillow only writes the formats of some suffixes, such as .pdf.
    """
    _register_heif()
    formats = Image.registered_extensions()
    readable = {*Image.OPEN, "MPO"}  # MPO is read as JPEG is
    return {*HEIF_SUFFIXES, *(suffix for suffix, kind in formats.items() if kind in readable)}


def _to_8_bits(values: np.ndarray, mode: str, name: str) -> UInt8[np.ndarray, "height width"]:
    """Scale gray values to 0–255.

    The values of a 16-bit image are 0–65535. Those of Pillow's modes I (32 bits) and F (floating point) are
    0–1 (F alone), 0–255 or 0–65535: the smallest range that holds them.
    """
    values = values.astype(np.float64)
    smallest, largest = values.min(), values.max()  # NaN if any value is NaN
    ranges = {"F": (1, 255, 65535), "I": (255, 65535)}.get(mode, (65535,))
    fitting = [white for white in ranges if smallest >= 0 and largest <= white]
    if not fitting:
        raise UserError(
            f"{name} has values from {smallest:g} to {largest:g}: save it with values from 0 to 255"
        )
    return np.round(values * (255 / fitting[0])).astype(np.uint8)


@cache
def _say_once(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@cache
def _register_heif() -> bool:
    """Let Pillow read HEIC, if the package pillow-heif is installed."""
    try:
        from pillow_heif import register_heif_opener  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return False
    register_heif_opener()
    return True


def first_bytes(source: Path | bytes, count: int) -> bytes:
    """Return the first bytes of a file. `source` is its path or its bytes."""
    if isinstance(source, bytes):
        return source[:count]
    with open(source, "rb") as file:
        return file.read(count)


def _is_heif(source: Path | bytes) -> bool:
    start = first_bytes(source, 12)
    return start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS
