"""Images with label maps, decoded one at a time: a data set may be larger than the memory."""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image, UnidentifiedImageError

from jaxcolor.errors import UserError, reason

VOID = 255  # label of pixels without a class, which losses and scores ignore
Size = tuple[int, int]  # height and width, in pixels


class Example(NamedTuple):
    """An image and its label map, which holds the class of each pixel, or `VOID`."""

    name: str
    image: UInt8[np.ndarray, "height width 3"]
    label_map: UInt8[np.ndarray, "height width"]


@runtime_checkable
class Examples(Protocol):
    """A split of a data set. Every access decodes its example anew."""

    @property
    def names(self) -> Sequence[str]:
        """Name of each image."""

    @property
    def sizes(self) -> Sequence[Size]:
        """Height and width of each image, in pixels."""

    @property
    def fingerprint(self) -> str:
        """Hash of the names, images and label maps, in order."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...


def count_labels(examples: Examples) -> Int[np.ndarray, " 256"]:
    """Return the number of pixels per label. Raises `UserError` if an example is broken."""

    def count(index: int) -> Int[np.ndarray, " 256"]:
        return np.bincount(examples[index].label_map.ravel(), minlength=256)

    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(count, range(len(examples))), np.zeros(256, np.int64))


def decode_image(source: Path | bytes, name: str) -> UInt8[np.ndarray, "height width 3"]:
    """Decode an image file as RGB. Raises `UserError` with `name` if it is broken or not an image."""
    with _open(source, name) as image:
        return np.asarray(_loaded(image, name).convert("RGB"))


def decode_label_map(source: Path | bytes, name: str, classes: int) -> UInt8[np.ndarray, "height width"]:
    """Decode a mask file, a gray or palette image whose values are labels.

    Raises `UserError` with `name` if it is broken, has another mode, or has a label that is neither below
    `classes` nor `VOID`.
    """
    with _open(source, name) as image:
        if image.mode not in ("P", "L"):
            raise UserError(
                f"{name} is not a mask file: its mode is {image.mode}; "
                "save the label of each pixel as a gray or palette PNG"
            )
        labels = np.asarray(_loaded(image, name))
    wrong = np.unique(labels[(labels >= classes) & (labels != VOID)])
    if len(wrong):
        raise UserError(
            f"{name} has label {wrong[0]}, but there are {classes} classes, 0 to {classes - 1}, and void, "
            f"{VOID}: name all classes with --classes"
        )
    return labels


def read_size(source: Path | bytes, name: str) -> Size:
    """Return height and width of an image file without decoding it. Raises `UserError` with `name`."""
    with _open(source, name) as image:
        return image.height, image.width


def check_sizes(image: Size, label_map: Size, name: str) -> None:
    """Raise `UserError` if a label map does not have the size of its image."""
    if image != label_map:
        raise UserError(
            f"{name} has {label_map[0]}×{label_map[1]} pixels, but its image has {image[0]}×{image[1]}: "
            "resize one of them"
        )


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
