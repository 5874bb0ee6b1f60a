"""The names of classes: CIFAR-10's categories, VOC's classes and their colors, and files of names."""

from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import UInt8

from jaxcolor.errors import UserError, reason

VOC_CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "dining table", "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train",
    "tv/monitor",
)  # fmt: skip


def voc_colors(count: int = 256) -> UInt8[np.ndarray, "count 3"]:
    """Return VOC's colors of the first `count` labels.

    The bits of a label, three at a time, are bits of red, green and blue, from the highest on.
    """
    labels = np.arange(count)
    colors = np.zeros((count, 3), np.int64)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= ((labels >> (3 * bit + channel)) & 1) << (7 - bit)
    return colors.astype(np.uint8)


def read_classes(given: str) -> tuple[str, ...]:
    """Return the names of classes: those in a file, one per line, or "class 0" and so on for a number."""
    if given.isdecimal():
        names = [f"class {i}" for i in range(int(given))]
    else:
        try:
            names = [line.strip() for line in Path(given).read_text().splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"--classes is a number of classes, or a file with one name per line: cannot read {given}: "
                f"{reason(error)}"
            ) from error
    if not 2 <= len(names) <= 255:
        raise UserError(f"--classes {given}: there must be 2 to 255 classes, not {len(names)}")
    if len(set(names)) < len(names):
        raise UserError(f"--classes {given}: two classes have the same name")
    return tuple(names)


# CIFAR-10's categories, in the order of its labels.
Category = Literal["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
CATEGORIES: tuple[str, ...] = get_args(Category)
