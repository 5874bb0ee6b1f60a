"""Pascal VOC's classes, and the colors in which masks are drawn."""

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
    """VOC's color of each label: its bits, three by three, make up red, green and blue from the top."""
    labels = np.arange(count)
    colors = np.zeros((count, 3), np.int64)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= ((labels >> (3 * bit + channel)) & 1) << (7 - bit)
    return colors.astype(np.uint8)


def read_classes(given: str) -> tuple[str, ...]:
    """The names of classes: those in a file, one a line, or `given` many without a name of their own."""
    if given.isdecimal():
        names = [f"class {i}" for i in range(int(given))]
    else:
        try:
            names = [line.strip() for line in Path(given).read_text().splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"--classes takes how many there are, or a file with a name a line: cannot read {given}: "
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
