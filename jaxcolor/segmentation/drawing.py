"""The drawings of a segmentation run: predictions beside the truth, examples, and the legend."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxcolor.data.colors import class_colors, has_background
from jaxcolor.data.label_maps import VOID
from jaxcolor.drawing import GAP, MARGIN, PAPER, legend, row, sheet
from jaxcolor.images import save_image

WIDTH, HEIGHT = 240, 480  # of the largest image in a sheet, in pixels
OPACITY = 0.6  # of the colors in an overlay
PREDICTION_COLUMNS = ("image", "truth", "prediction", "overlay of the prediction")
EXAMPLE_COLUMNS = ("image", "mask", "overlay")

ImageArray = UInt8[np.ndarray, "height width 3"]
Labels = UInt8[np.ndarray, "height width"]


class Panel(NamedTuple):
    """An image with its true and its predicted label map."""

    label: str
    image: ImageArray
    truth: Labels
    prediction: Labels


def in_colors(labels: Labels, classes: Sequence[str]) -> Image.Image:
    """Return a label map in the colors of its classes."""
    return Image.fromarray(class_colors(classes)[labels])


def overlay(
    image: ImageArray, labels: Labels, classes: Sequence[str], opacity: float = OPACITY
) -> Image.Image:
    """Blend an image with the colors of its classes. A background is gray and not painted.

    `opacity` is that of the colors, from 0 to 1.
    """
    blended = Image.blend(Image.fromarray(image), in_colors(labels, classes), opacity)
    if not has_background(classes):
        return blended
    gray = Image.fromarray(image).convert("L").convert("RGB")
    return Image.composite(gray, blended, Image.fromarray(np.uint8(255) * (labels == 0)))


def draw_legend(path: Path, classes: Sequence[str]) -> None:
    """Draw the color of each class, and of void."""
    colors = legend(_colors(classes, [*range(len(classes)), VOID]), 4 * WIDTH)
    image = Image.new("RGB", (colors.width + 2 * MARGIN, colors.height + 2 * MARGIN), PAPER)
    image.paste(colors, (MARGIN, MARGIN))
    save_image(path, image)


def draw_predictions(path: Path, title: str, panels: Sequence[Panel], classes: Sequence[str]) -> None:
    """Draw a row per image: the image, truth, prediction, and the overlay of the prediction."""
    rows = {panel.label: _row(panel.image, [panel.truth, panel.prediction], classes) for panel in panels}
    shown = [labels for panel in panels for labels in (panel.truth, panel.prediction)]
    _draw_rows(path, title, PREDICTION_COLUMNS, rows, shown, classes)


def draw_examples(
    path: Path, title: str, examples: Mapping[str, tuple[np.ndarray, np.ndarray]], classes: Sequence[str]
) -> None:
    """Draw a row per image with its mask: the image, the mask, and their overlay."""
    rows = {label: _row(image, [labels], classes) for label, (image, labels) in examples.items()}
    _draw_rows(path, title, EXAMPLE_COLUMNS, rows, [labels for _, labels in examples.values()], classes)


def _row(image: ImageArray, label_maps: Sequence[Labels], classes: Sequence[str]) -> Image.Image:
    """Return an image, label maps, and the overlay of the last one, side by side."""
    height, width = image.shape[:2]
    scale = min(WIDTH / width, HEIGHT / height)
    size = (max(1, round(scale * width)), max(1, round(scale * height)))
    smooth, sharp = Image.Resampling.BILINEAR, Image.Resampling.NEAREST
    images = [
        Image.fromarray(image).resize(size, smooth),
        *(in_colors(labels, classes).resize(size, sharp) for labels in label_maps),
        overlay(image, label_maps[-1], classes).resize(size, smooth),
    ]
    return row([_in_cell(one) for one in images])


def _draw_rows(
    path: Path,
    title: str,
    columns: Sequence[str],
    rows: Mapping[str, Image.Image],
    label_maps: Sequence[np.ndarray],
    classes: Sequence[str],
) -> None:
    """Draw a sheet with a legend of the labels that occur."""
    shown = sorted({int(label) for labels in label_maps for label in np.unique(labels)})
    colors = legend(_colors(classes, shown), len(columns) * WIDTH)
    headings = {heading: i * (WIDTH + GAP) for i, heading in enumerate(columns)}
    save_image(path, sheet(title, {**rows, "classes": colors}, 2 * GAP, headings))


def _in_cell(image: Image.Image) -> Image.Image:
    """Return an image in the middle of a cell that has the width of a column."""
    cell = Image.new("RGB", (WIDTH, image.height), PAPER)
    cell.paste(image, ((WIDTH - image.width) // 2, 0))
    return cell


def _colors(classes: Sequence[str], labels: Sequence[int]) -> dict[str, tuple[int, int, int]]:
    """Return the colors of labels, by the name of the class."""
    names = dict(enumerate(classes)) | {VOID: "void (not scored)"}
    if has_background(classes):
        names[0] += " (gray in overlays)"
    return {names[label]: tuple(class_colors(classes)[label].tolist()) for label in labels}
