"""Images with label maps, decoded one at a time: a data set may be larger than the memory."""

import copy
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Int, UInt8

from jaxcolor.data.image_files import Size
from jaxcolor.data.label_maps import LabelFormat
from jaxcolor.errors import UserError

OfMasks = TypeVar("OfMasks", bound="MaskExamples")


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


class MaskExamples:
    """What the examples of mask files have in common.

    `digest` is a hash of the images and mask files, in order.
    """

    def __init__(self, names: Sequence[str], sizes: Sequence[Size], digest: str, label_format: LabelFormat):
        self.names = list(names)
        self.sizes = list(sizes)
        self.label_format = label_format
        self._digest = digest

    @property
    def fingerprint(self) -> str:
        """Hash of the images and mask files, in order, and of the format of the masks."""
        return self._digest + self.label_format.fingerprint

    def __len__(self) -> int:
        return len(self.names)

    def with_format(self: OfMasks, label_format: LabelFormat) -> OfMasks:
        """Return the same examples with masks read in another format."""
        other = copy.copy(self)
        other.label_format = label_format
        return other


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
