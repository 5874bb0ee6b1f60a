"""Image files that annotations name, and label maps that fit them."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxcolor.annotations.json_files import show
from jaxcolor.data.image_files import Size, image_suffixes, open_image, orientation, read_size
from jaxcolor.errors import UserError

# How an image that is stored on its side becomes upright, by its EXIF orientation.
TURNS = {
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class AnnotatedImage(NamedTuple):
    """An image file, or its bytes, with the label map of the upright image.

    `path` is its place in the data set, without a suffix, and `where` names it in messages.
    """

    file: Path | bytes
    path: PurePosixPath
    suffix: str
    label_map: UInt8[np.ndarray, "height width"]
    where: str


class ImageFile:
    """What the head of an image file tells. Raises `UserError` with `name` if it is no image."""

    def __init__(self, file: Path | bytes, name: str):
        self.file, self.name = file, name
        self.upright: Size = read_size(file, name)
        with open_image(file, name) as image:
            self.orientation = orientation(image)
            self.suffix = f".{(image.format or 'png').lower()}"
        if isinstance(file, Path) and file.suffix.lower() in image_suffixes():
            self.suffix = file.suffix

    def annotate(
        self, label_map: UInt8[np.ndarray, "height width"], path: PurePosixPath, where: str
    ) -> AnnotatedImage:
        """Return the image with a label map of a size that `check_size` accepts."""
        if label_map.shape != self.upright:
            label_map = np.asarray(Image.fromarray(label_map).transpose(TURNS[self.orientation]))
        return AnnotatedImage(self.file, path, self.suffix, label_map, where)

    @property
    def is_unclear(self) -> bool:
        """Whether EXIF turns the image, and its size does not tell if it was annotated upright."""
        height, width = self.upright
        return self.orientation != 1 and (self.orientation not in TURNS or height == width)

    def check_size(self, size: Size, where: str) -> None:
        """Raise `UserError` unless a label map of a size fits the image, upright or as it is stored."""
        is_stored = self.orientation in TURNS and size == self.upright[::-1]
        if size != self.upright and not is_stored:
            raise UserError(
                f"{where} was annotated with height×width {size[0]}×{size[1]}, but {self.name} has "
                f"{self.upright[0]}×{self.upright[1]}: use the image that was annotated"
            )


def find_image(name: str, folders: Sequence[Path], where: str) -> Path:
    """Return the image file that annotations name, in the first folder that has it.

    `name` may have folders of another machine. Raises `UserError` with `where` if there is no such file.
    """
    windows = PureWindowsPath(name)
    for folder in folders:
        for path in (name, windows.as_posix(), windows.name):
            if path and os.path.isfile(folder / path):  # unlike Path.is_file, False for names that cannot be
                return folder / path
    places = " or ".join(dict.fromkeys(map(str, folders)))
    raise UserError(
        f"{where} names the image {show(name)}, which is not in {places}: copy it there, or give --image-dir"
    )


def place_of(name: str) -> PurePosixPath:
    """Return the path of an image in its data set, without a suffix, from the name that annotations give."""
    windows = PureWindowsPath(name)
    path = PurePosixPath(*(part for part in windows.parts if part not in (windows.anchor, "..")))
    return path.with_suffix("") if path.suffix.lower() in image_suffixes() else path
