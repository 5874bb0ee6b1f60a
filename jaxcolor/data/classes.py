"""Names of classes: CIFAR-10's categories, Pascal VOC's classes with their colors, and the user's own."""

from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import UInt8

from jaxcolor.data.class_files import COMMENT, parse_classes
from jaxcolor.data.label_maps import VOID, Color
from jaxcolor.data.text import read_lines
from jaxcolor.errors import UserError
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


class Classes(NamedTuple):
    """Names of classes, and the label of each color of mask files, if the user gave them."""

    names: tuple[str, ...]
    colors: tuple[tuple[Color, int], ...] = ()


def voc_colors(count: int = 256) -> UInt8[np.ndarray, "count 3"]:
    """Return the colors of the labels 0 to `count` - 1 in VOC's mask files.

    Bits 0, 1 and 2 of a label are the highest bits of red, green and blue, bits 3, 4 and 5 the next ones, and
    so on.
    """
    labels = np.arange(count)
    colors = np.zeros((count, 3), np.int64)
    for place in range(8):
        for channel in range(3):
            colors[:, channel] |= (labels >> (3 * place + channel) & 1) << (7 - place)
    return colors.astype(np.uint8)


def numbered_classes(count: int) -> tuple[str, ...]:
    """Return the names "class 0", "class 1" and so on."""
    return tuple(f"class {i}" for i in range(count))


def read_classes(given: str) -> Classes:
    """Return the user's classes. `given` is their number, "voc" for Pascal VOC's, or a file.

    The file has one class per line, as `jaxcolor.data.class_files` reads it. Raises `UserError` unless there
    are 2 to 255 names, all different.
    """
    if not given.strip():
        raise UserError("--classes is empty: give a file with one name per line, their number, or voc")
    if given == "voc":
        return Classes(VOC_CLASSES)
    if given.isdecimal():
        is_long = len(given) > 9
        given = f"{given[:9]}…" if is_long else given
        classes = Classes(numbered_classes(VOID + 1 if is_long else min(int(given), VOID + 1)))
    else:
        lines = read_lines(expand_user(Path(given)), f"the classes in {given}", COMMENT)
        classes = Classes(*parse_classes(lines, given))
    if not 2 <= len(classes.names) <= VOID:
        raise UserError(
            f"--classes {given} must be 2 to {VOID} classes: names in a file, one per line, or their number"
        )
    if len(set(classes.names)) < len(classes.names):
        raise UserError(f"--classes {given}: two classes have the same name")
    if len({color for color, _ in classes.colors}) < len(classes.colors):
        raise UserError(f"--classes {given}: two classes have the same color")
    return classes
