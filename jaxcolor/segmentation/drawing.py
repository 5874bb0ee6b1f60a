"""The drawings of a segmentation run: predictions beside the truth, and the confusion matrix."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from matplotlib.figure import Figure
from PIL import Image

from jaxcolor.data.classes import voc_colors
from jaxcolor.data.label_maps import VOID
from jaxcolor.drawing import GAP, MARGIN, column, legend, row, save, save_figure, sheet
from jaxcolor.segmentation.scores import Confusion

WIDTH = 240  # of a drawn image, in pixels
OPACITY = 0.6  # of the colors in an overlay

ImageArray = UInt8[np.ndarray, "height width 3"]
Labels = UInt8[np.ndarray, "height width"]


class Panel(NamedTuple):
    """An image with its true and its predicted label map."""

    label: str
    image: ImageArray
    truth: Labels
    prediction: Labels


def in_colors(labels: Labels) -> Image.Image:
    """Return a label map in the colors of VOC."""
    return Image.fromarray(voc_colors()[labels])


def overlay(image: ImageArray, labels: Labels) -> Image.Image:
    """Blend an image with the colors of its classes. Class 0, the background of VOC, is gray."""
    blended = Image.blend(Image.fromarray(image), in_colors(labels), OPACITY)
    gray = Image.fromarray(image).convert("L").convert("RGB")
    return Image.composite(gray, blended, Image.fromarray(np.uint8(255) * (labels == 0)))


def overlay_with_legend(image: ImageArray, labels: Labels, classes: Sequence[str]) -> Image.Image:
    """Return the overlay, with the names of its classes below."""
    blended = overlay(image, labels)
    return column([blended, legend(_colors(classes, [labels]), blended.width)], MARGIN)


def draw_predictions(path: Path, title: str, panels: Sequence[Panel], classes: Sequence[str]) -> None:
    """Draw a row per image: the image, truth, prediction, and the overlay of the prediction."""
    strips = {}
    for label, image, truth, prediction in panels:
        images = [
            Image.fromarray(image),
            in_colors(truth),
            in_colors(prediction),
            overlay(image, prediction),
        ]
        size = (WIDTH, max(1, round(WIDTH * image.shape[0] / image.shape[1])))
        how = [Image.Resampling.BILINEAR, *[Image.Resampling.NEAREST] * 2, Image.Resampling.BILINEAR]
        strips[label] = row([one.resize(size, h) for one, h in zip(images, how, strict=True)])
    shown = [labels for panel in panels for labels in (panel.truth, panel.prediction)]
    strips["classes"] = legend(_colors(classes, shown), 4 * WIDTH)
    save(path, sheet(f"{title}: image, truth, prediction, overlay", strips, 2 * GAP))


def draw_confusion(path: Path, confusion: Confusion, classes: Sequence[str]) -> None:
    """Draw the share of the pixels of each true class (row) that was predicted as each class (column)."""
    totals = confusion.sum(axis=1, keepdims=True)
    shares = np.divide(confusion, totals, out=np.zeros_like(confusion), where=totals > 0)
    side = 2 + 0.36 * len(classes)
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    for (i, j), share in np.ndenumerate(shares):
        if share >= 0.005:
            ink = "white" if share > 0.5 else "black"
            axes.text(j, i, f"{100 * share:.0f}", ha="center", va="center", fontsize=7, color=ink)
    axes.set_xticks(range(len(classes)), classes, rotation=60, ha="right", fontsize=8)
    axes.set_yticks(range(len(classes)), classes, fontsize=8)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true (each row adds up to 100 %)")
    figure.colorbar(image, ax=axes, shrink=0.8, format=lambda share, _: f"{100 * share:.0f} %")
    save_figure(path, figure)


def _colors(classes: Sequence[str], label_maps: Sequence[Labels]) -> dict[str, tuple[int, int, int]]:
    """Return the colors of the classes that occur, by name, and of void."""
    found = sorted({int(label) for labels in label_maps for label in np.unique(labels)})
    palette = voc_colors().tolist()
    names = {label: "void" if label == VOID else classes[label] for label in found}
    return {name: tuple(palette[label]) for label, name in names.items()}
