"""Objects of COCO as run lengths, and the label map of the objects of an image."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int, UInt8

from jaxcolor.annotations.json_files import check_points, show
from jaxcolor.data.image_files import Size
from jaxcolor.data.label_maps import VOID
from jaxcolor.errors import UserError


class Region(NamedTuple):
    """The pixels of an object as run lengths, column by column. The first run is outside of the object."""

    runs: Int[np.ndarray, " runs"]
    label: int

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(self.runs[1::2].sum())


def read_runs(segmentation: Any, size: Size, where: str) -> Int[np.ndarray, " runs"]:
    """Return the run lengths of polygons, or of an RLE. Raises `UserError` with `where`."""
    if isinstance(segmentation, dict):
        return read_rle(segmentation, size, where)
    if not isinstance(segmentation, list) or not segmentation:
        raise UserError(f"{where} has no outline: draw it, or remove the annotation")
    polygons = []
    for polygon in segmentation:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            count = f"{len(polygon)} numbers" if isinstance(polygon, list) else show(polygon)
            raise UserError(f"{where} has a polygon of {count}: it must be x and y of three points or more")
        check_points(zip(polygon[::2], polygon[1::2], strict=True), size, where)
        polygons.append(polygon)
    mask = import_pycocotools()
    rle = mask.merge(mask.frPyObjects(polygons, *size))
    return np.array(decode_counts(rle["counts"]))


def import_pycocotools() -> ModuleType:
    """Return the part of pycocotools that draws polygons. Raises `UserError` if it is not installed."""
    try:
        from pycocotools import mask
    except ImportError as error:
        raise UserError("COCO's polygons need pycocotools: run `pip install pycocotools`") from error
    return mask


def read_rle(rle: dict[str, Any], size: Size, where: str) -> Int[np.ndarray, " runs"]:
    """Return the run lengths of an RLE, compressed or not. Raises `UserError` with `where`."""
    counts: Any = rle.get("counts")
    if rle.get("size") != list(size):
        given = show(rle.get("size"))
        raise UserError(f"{where} has the size {given}, but its image {list(size)}: export it again")
    if isinstance(counts, str):
        counts = decode_counts(counts.encode(errors="surrogatepass"))
    is_whole = isinstance(counts, list) and all(isinstance(run, int) and run >= 0 for run in counts)
    if not is_whole or sum(counts) != size[0] * size[1]:
        raise UserError(f"{where} has broken run lengths, which do not fill its image: export it again")
    return np.array(counts)


def decode_counts(data: bytes) -> list[int] | None:
    """Return the run lengths of a compressed RLE, or None if it is broken.

    Each byte holds 5 bits from the lowest on, and a sixth bit if more follow. From the third on, a run is
    stored as the difference from the second last (`rleToString` in maskApi.c of pycocotools).
    """
    runs: list[int] = []
    value = shift = 0
    for byte in data:
        digit = byte - 48
        if not 0 <= digit < 64:
            return None
        value |= (digit & 31) << shift
        shift += 5
        if digit & 32:
            continue
        if digit & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return None if shift else runs


def draw(regions: Sequence[Region], size: Size) -> UInt8[np.ndarray, "height width"]:
    """Return the label map of an image: smaller objects on top of larger ones, and of void."""
    label_map = np.zeros(size, np.uint8)
    # Of equal objects the later one is on top.
    for region in sorted(regions, key=lambda region: (region.label != VOID, -region.area)):
        label_map[to_mask(region.runs, size)] = region.label
    return label_map


def to_mask(runs: Int[np.ndarray, " runs"], size: Size) -> Bool[np.ndarray, "height width"]:
    """Return which pixels belong to an object."""
    height, width = size
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T
