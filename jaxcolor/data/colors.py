"""The colors of classes: VOC's own for VOC's classes, and well separated ones for all others."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from jaxtyping import Int, UInt8

from jaxcolor import oklab
from jaxcolor.data.classes import VOC_CLASSES, voc_colors
from jaxcolor.data.label_maps import VOID

# The colors of Okabe and Ito (2008), which color-blind people can distinguish, without black.
FIRST = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (213, 94, 0),
    (86, 180, 233),
    (204, 121, 167),
    (240, 228, 66),
)
VOID_COLOR = (224, 224, 192)  # that of VOC's mask files
LEVELS = 18  # values of red, green and blue from which the other colors are chosen
LIGHTNESS, CHROMA = (0.4, 0.9), 0.05  # no color is near black, white or gray
UNITS = 10_000  # per unit of OKLab. In whole numbers every machine chooses the same colors.

Colors = UInt8[np.ndarray, "256 3"]


def class_colors(classes: Sequence[str]) -> Colors:
    """Return the color of each label of a label map. Row 255 is the color of void.

    The color of a label does not depend on the number of classes.
    """
    return voc_colors() if tuple(classes) == VOC_CLASSES else separated_colors()


def has_background(classes: Sequence[str]) -> bool:
    """Return whether class 0 is the background: it is named so, or it is one of two classes.

    Overlays do not paint it then. If class 1 of two is named background, class 0 is none.
    """
    named = [name.strip("_").lower() == "background" for name in classes]
    return named[:1] == [True] or named == [False, False]


@cache
def separated_colors() -> Colors:
    """Return 255 colors that differ from each other as far as possible, and that of void.

    After `FIRST`, each color is the one that is farthest in OKLab (Ottosson, 2020) from the nearest color
    before it, from void, black and white.
    """
    steps = np.linspace(0, 255, LEVELS).round().astype(np.uint8)
    candidates = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = oklab.from_srgb(candidates / 255)
    usable = (LIGHTNESS[0] <= lab[:, 0]) & (lab[:, 0] <= LIGHTNESS[1])
    usable &= np.hypot(lab[:, 1], lab[:, 2]) >= CHROMA
    candidates = candidates[usable]
    places = _in_units(candidates)

    colors = np.zeros((256, 3), np.uint8)
    colors[: len(FIRST)], colors[VOID] = FIRST, VOID_COLOR
    taken = np.array([*FIRST, VOID_COLOR, (0, 0, 0), (255, 255, 255)], np.uint8)
    distances = np.square(places[:, None] - _in_units(taken)).sum(axis=-1).min(axis=1)
    for label in range(len(FIRST), VOID):
        farthest = distances.argmax()
        colors[label] = candidates[farthest]
        distances = np.minimum(distances, np.square(places - places[farthest]).sum(axis=-1))
    colors.flags.writeable = False  # all callers share the array
    return colors


def _in_units(colors: UInt8[np.ndarray, "colors 3"]) -> Int[np.ndarray, "colors 3"]:
    return np.round(oklab.from_srgb(colors / 255) * UNITS).astype(np.int64)
