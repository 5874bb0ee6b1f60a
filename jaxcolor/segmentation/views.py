"""Several views of an image: windows of a large one; scales and mirror images, to average over."""

import math
from collections.abc import Iterator
from itertools import pairwise, product
from typing import NamedTuple

from jaxcolor.data.image_files import Size
from jaxcolor.segmentation.preprocess import STEP

SCALES = (0.75, 1.0, 1.25)  # of the averaged views
OVERLAP = 0.25  # of two neighboring windows, at least, as a share of their side


class Window(NamedTuple):
    """The rows and columns that the network sees, and those of them whose prediction is used."""

    seen: tuple[slice, slice]
    used: tuple[slice, slice]

    @property
    def used_of_seen(self) -> tuple[slice, slice]:
        """The rows and columns that are used, counted from the first ones that are seen."""
        rows, columns = (
            slice(used.start - seen.start, used.stop - seen.start)
            for used, seen in zip(self.used, self.seen, strict=True)
        )
        return rows, columns


def windows(size: Size, side: int | None) -> list[Window]:
    """Return windows with a side of at most `side` pixels, whose used parts cover an image of `size` once.

    None stands for one window, the whole image.
    """
    height, width = size
    return [
        Window((seen_rows, seen_columns), (used_rows, used_columns))
        for (seen_rows, used_rows), (seen_columns, used_columns) in product(
            _intervals(height, side or height), _intervals(width, side or width)
        )
    ]


def _intervals(length: int, side: int) -> list[tuple[slice, slice]]:
    """Return the seen and the used part of each window along one axis. Overlaps are cut in the middle."""
    side = min(side, length)
    count = 1 + math.ceil((length - side) / math.ceil((1 - OVERLAP) * side))
    starts = [round(i * (length - side) / max(count - 1, 1)) for i in range(count)]
    cuts = [0, *((before + side + after) // 2 for before, after in pairwise(starts)), length]
    return [
        (slice(start, start + side), slice(*used)) for start, used in zip(starts, pairwise(cuts), strict=True)
    ]


def averaged_views(size: Size) -> Iterator[tuple[Size, int]]:
    """Yield the size of each view, and the step along its columns: −1 for the mirror image."""
    for scale in SCALES:
        height, width = (max(round(scale * length), STEP) for length in size)
        for step in (1, -1):
            yield (height, width), step
