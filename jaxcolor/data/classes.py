"""Names of classes: CIFAR-10's categories, Pascal VOC's classes with their colors, and the user's own."""

import re
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import UInt8

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

# The lines that files of classes have, by their format. CVAT's labelmap.txt has NAME:R,G,B:PARTS:ACTIONS.
COLORED = (
    re.compile(r"(?P<name>[^:]+):(?P<r>\d+),(?P<g>\d+),(?P<b>\d+)(:.*)?"),
    re.compile(r"(?P<r>\d+)[\s,;]+(?P<g>\d+)[\s,;]+(?P<b>\d+)[\s,;]+(?P<name>\S.*)"),
    re.compile(r"(?P<name>.*?\S)[\s,;]+(?P<r>\d+)[\s,;]+(?P<g>\d+)[\s,;]+(?P<b>\d+)"),
)
HEADING = re.compile(r"(name|class|label)[\s,;]+r(ed)?[\s,;]+g(reen)?[\s,;]+b(lue)?", re.IGNORECASE)
NUMBERED = re.compile(r"(?P<number>\d+)[\s:,;=]+(?P<name>\S.*)")
# Names of what is not a class: labelme's, and those of tables of colors.
IGNORED, VOID_NAMES = "__ignore__", ("__ignore__", "ignore", "void")
LABELME_BACKGROUND = "_background_"


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

    The file has one name per line. The line may end or begin with the red, green and blue of the class in
    mask files; then a class `void` names the color of void. Numbered lines, labelme's labels.txt and CVAT's
    labelmap.txt are understood. Raises `UserError` unless there are 2 to 255 names, all different.
    """
    if given.isdecimal():
        classes = Classes(numbered_classes(min(int(given), VOID + 1)))
    elif given == "voc":
        return Classes(VOC_CLASSES)
    else:
        classes = _read_file(read_lines(expand_user(Path(given)), f"the classes in {given}"), given)
    if not 2 <= len(classes.names) <= VOID:
        raise UserError(f"--classes {given} must be 2 to {VOID} classes: names in a file, or their number")
    if len(set(classes.names)) < len(classes.names):
        raise UserError(f"--classes {given}: two classes have the same name")
    if len({color for color, _ in classes.colors}) < len(classes.colors):
        raise UserError(f"--classes {given}: two classes have the same color")
    return classes


def _read_file(lines: list[str], given: str) -> Classes:
    lines = [line for line in lines if not HEADING.fullmatch(line)]
    colored = [next(filter(None, (form.fullmatch(line) for form in COLORED)), None) for line in lines]
    if not any(colored):
        cleaned = map(_clean, _without_numbers(lines))
        return Classes(tuple(name for name in cleaned if name != IGNORED))
    names: list[str] = []
    colors: list[tuple[Color, int]] = []
    for line, match in zip(lines, colored, strict=True):
        if not match:
            raise UserError(f"--classes {given}: the line {line!r} has no color, but other lines have one")
        name, color = _clean(match["name"]), (int(match["r"]), int(match["g"]), int(match["b"]))
        if max(color) > 255:
            raise UserError(f"--classes {given}: the color of {name}, {color}, must have values up to 255")
        if name.lower() in VOID_NAMES:
            colors.append((color, VOID))
        else:
            colors.append((color, len(names)))
            names.append(name)
    return Classes(tuple(names), tuple(colors))


def _without_numbers(lines: list[str]) -> list[str]:
    """Return the lines without their numbers, if they are numbered from 0."""
    matches = [NUMBERED.fullmatch(line) for line in lines]
    numbers = [int(match["number"]) if match else None for match in matches]
    if numbers != list(range(len(lines))):
        return lines
    return [match["name"] for match in matches if match]


def _clean(name: str) -> str:
    name = name.strip().strip("\"'")
    return "background" if name == LABELME_BACKGROUND else name
