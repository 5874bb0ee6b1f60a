"""Images with masks: what segmentation trains on, one at a time, so that no data set need fit in memory."""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image, UnidentifiedImageError

from jaxcolor.errors import UserError, reason

VOID = 255  # the label of pixels that count nowhere
Size = tuple[int, int]  # height and width, in pixels


class Example(NamedTuple):
    """A image, and the class of each of its pixels, or `VOID`."""

    name: str
    image: UInt8[np.ndarray, "height width 3"]
    mask: UInt8[np.ndarray, "height width"]


@runtime_checkable
class Examples(Protocol):
    """A split of a data set. An example is decoded each time that it is asked for."""

    @property
    def sizes(self) -> Sequence[Size]:
        """Of each image."""

    @property
    def fingerprint(self) -> str:
        """A hash of images and masks: another one for others, or in another order."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...


def count_labels(examples: Examples) -> Int[np.ndarray, " 256"]:
    """How many pixels have each label. Decodes every example, so that one which is broken is named."""

    def count(index: int) -> Int[np.ndarray, " 256"]:
        return np.bincount(examples[index].mask.ravel(), minlength=256)

    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(count, range(len(examples))), np.zeros(256, np.int64))


def decode_image(source: Path | bytes, name: str) -> UInt8[np.ndarray, "height width 3"]:
    """A image file's pixels; `UserError` names it where it cannot be read."""
    with _open(source, name) as image:
        return np.asarray(_loaded(image, name).convert("RGB"))


def decode_mask(source: Path | bytes, name: str, classes: int) -> UInt8[np.ndarray, "height width"]:
    """The class indices of a mask file, gray or with a palette; `UserError` names it where it is none."""
    with _open(source, name) as image:
        if image.mode not in ("P", "L"):
            raise UserError(f"{name} is no mask: it has {image.mode} pixels, not one index each")
        mask = np.asarray(_loaded(image, name))
    wrong = np.unique(mask[(mask >= classes) & (mask != VOID)])
    if len(wrong):
        raise UserError(
            f"{name} has label {wrong[0]}, but there are {classes} classes, 0 to {classes - 1}, and {VOID} "
            "for void: say with --classes which ones there are"
        )
    return mask


def read_size(source: Path | bytes, name: str) -> Size:
    """Height and width of a image file, from its header."""
    with _open(source, name) as image:
        return image.height, image.width


def check_sizes(image: Size, mask: Size, name: str) -> None:
    """Refuse a mask that is not as large as its image."""
    if image != mask:
        raise UserError(f"{name}: the mask has {mask[0]}×{mask[1]} pixels, the image {image[0]}×{image[1]}")


def _open(source: Path | bytes, name: str) -> Image.Image:
    try:
        return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
    except UnidentifiedImageError as error:
        raise UserError(f"{name} is broken, or no image") from error
    except Image.DecompressionBombError as error:
        raise UserError(f"{name} is too large: {reason(error)}") from error
    except OSError as error:
        raise UserError(f"cannot read {name}: {reason(error)}") from error


def _loaded(image: Image.Image, name: str) -> Image.Image:
    try:
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{name} is broken: {reason(error)}") from error
    return image
