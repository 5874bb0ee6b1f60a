"""The drawings of a segmentation run: predictions beside the truth, the confusion matrix, and the legend."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from jaxcolor.data.colors import class_colors, has_background
from jaxcolor.data.label_maps import VOID
from jaxcolor.drawing import GAP, MARGIN, PAPER, legend, row, save, save_figure, sheet
from jaxcolor.segmentation.scores import Confusion

WIDTH, HEIGHT = 240, 480  # of the largest image in a sheet, in pixels
OPACITY = 0.6  # of the colors in an overlay
PREDICTION_COLUMNS = ("image", "truth", "prediction", "overlay of the prediction")
EXAMPLE_COLUMNS = ("image", "mask", "overlay")
NUMBERED = 40  # a confusion matrix of more classes has smaller cells without numbers
SMALLEST = 2.6  # side of a confusion matrix, in inches

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


def overlay(image: ImageArray, labels: Labels, classes: Sequence[str]) -> Image.Image:
    """Blend an image with the colors of its classes. A background is gray and not painted."""
    blended = Image.blend(Image.fromarray(image), in_colors(labels, classes), OPACITY)
    if not has_background(classes):
        return blended
    gray = Image.fromarray(image).convert("L").convert("RGB")
    return Image.composite(gray, blended, Image.fromarray(np.uint8(255) * (labels == 0)))


def draw_legend(path: Path, classes: Sequence[str]) -> None:
    """Draw the color of each class, and of void."""
    colors = legend(_colors(classes, [*range(len(classes)), VOID]), 4 * WIDTH)
    image = Image.new("RGB", (colors.width + 2 * MARGIN, colors.height + 2 * MARGIN), PAPER)
    image.paste(colors, (MARGIN, MARGIN))
    save(path, image)


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
    save(path, sheet(title, {**rows, "classes": colors}, 2 * GAP, headings))


def draw_confusion(path: Path, title: str, confusion: Confusion, classes: Sequence[str]) -> None:
    """Draw the share of the pixels of each true class (row) that was predicted as each class (column).

    The row of a class without true pixels is hatched. Shares below 0.5 % are blank, except on the diagonal.
    """
    count = len(classes)
    totals = confusion.sum(axis=1, keepdims=True)
    shares = np.divide(confusion, totals, out=np.full(confusion.shape, np.nan), where=totals > 0)
    cell, size = (0.36, 8) if count <= NUMBERED else (0.13, 6)
    side = max(cell * count, SMALLEST)
    # The figure has the size of the matrix, and grows by what is beside it when it is saved.
    figure = Figure(figsize=(side, side))
    axes = figure.add_axes((0, 0, 1, 1))
    image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    for i in np.flatnonzero(totals == 0).tolist():
        axes.add_patch(Rectangle((-0.5, i - 0.5), count, 1, fill=False, hatch="////", edgecolor="#BBBBBB"))
        box = {"boxstyle": "square,pad=0.2", "facecolor": "white", "edgecolor": "none"}
        axes.text(i, i, "—", ha="center", va="center", fontsize=size - 1, bbox=box)
    for (i, j), share in np.ndenumerate(shares):
        if count <= NUMBERED and (share >= 0.005 or (i == j and share >= 0)):
            ink = "white" if share > 0.5 else "black"
            axes.text(j, i, f"{100 * share:.0f}", ha="center", va="center", fontsize=7, color=ink)
    axes.set_xticks(range(count), classes, rotation=60, ha="right", rotation_mode="anchor", fontsize=size)
    axes.set_yticks(range(count), classes, fontsize=size)
    axes.set_xlabel("predicted", fontsize=9)
    note = "" if totals.all() else "\nhatched rows: no such pixels"
    axes.set_ylabel(f"true (each row adds up to 100 %){note}", fontsize=9)
    axes.set_title(title, fontsize=10)
    bar = figure.add_axes((1 + 0.2 / side, 0.1, 0.15 / side, 0.8))
    figure.colorbar(image, cax=bar, format=lambda share, _: f"{100 * share:.0f} %")
    bar.tick_params(labelsize=8)
    save_figure(path, figure, crop=True)


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
