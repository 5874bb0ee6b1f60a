"""Images with label maps, decoded one at a time: a data set may be larger than the memory."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int, UInt8

from jaxcolor.data.image_files import Size
from jaxcolor.errors import UserError


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
        """Hash of the images and mask files, in order, and of the format of the masks."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...


def count_labels(examples: Examples) -> Int[np.ndarray, " 256"]:
    """Return the number of pixels per label. Raises `UserError` if an example is broken."""

    def count(index: int) -> Int[np.ndarray, " 256"]:
        return np.bincount(examples[index].label_map.ravel(), minlength=256)

    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(count, range(len(examples))), np.zeros(256, np.int64))


def check_sizes(image: Size, label_map: Size, name: str) -> None:
    """Raise `UserError` if a label map does not have the size of its image."""
    if image != label_map:
        raise UserError(
            f"{name} has {label_map[0]}×{label_map[1]} pixels, but its image has {image[0]}×{image[1]}: "
            "resize one of them"
        )
