"""Names of classes: CIFAR-10's categories, Pascal VOC's classes with their colors, and the user's own."""

from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import UInt8

from jaxcolor.errors import UserError, reason
from jaxcolor.files import expand_user

# CIFAR-10's categories, in the order of its labels.
Category = Literal["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
CATEGORIES: tuple[str, ...] = get_args(Category)

# Pascal VOC's classes, in the order of its labels.
VOC_CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "dining table", "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train",
    "tv/monitor",
)  # fmt: skip


def voc_colors(count: int = 256) -> UInt8[np.ndarray, "count 3"]:
    """Return the colors of the labels 0 to `count` - 1 in VOC's mask files.

    Bits 0, 1 and 2 of a label are the highest bits of red, green and blue, bits 3, 4 and 5 the next ones, and
    so on.
    """
    labels = np.arange(count)
    colors = np.zeros((count, 3), np.int64)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= ((labels >> (3 * bit + channel)) & 1) << (7 - bit)
    return colors.astype(np.uint8)


def read_classes(given: str) -> tuple[str, ...]:
    """Return the names of the user's classes. `given` is their number, or a file with one name per line.

    Numbered classes are "class 0", "class 1" and so on. Raises `UserError` unless there are 2 to 255 names,
    all different.
    """
    if given.isdecimal():
        names = [f"class {i}" for i in range(int(given))]
    else:
        try:
            names = [
                line.strip() for line in expand_user(Path(given)).read_text().splitlines() if line.strip()
            ]
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
