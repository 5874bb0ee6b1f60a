"""The images of a segmentation run: predictions beside the truth, and the confusion matrix."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from matplotlib.figure import Figure
from PIL import Image

from jaxcolor.data.classes import voc_colors
from jaxcolor.data.examples import VOID
from jaxcolor.figures import save_figure
from jaxcolor.segmentation.scores import Confusion
from jaxcolor.sheets import GAP, MARGIN, column, legend, row, save, sheet

WIDTH = 240  # pixels that a image is drawn with
OPACITY = 0.6  # of the classes in an overlay

ImageArray = UInt8[np.ndarray, "height width 3"]
Mask = UInt8[np.ndarray, "height width"]


class Panel(NamedTuple):
    """What is drawn of a image."""

    label: str
    image: ImageArray
    truth: Mask
    prediction: Mask


def as_mask(mask: Mask) -> Image.Image:
    """A image whose pixels are the indices of classes, with VOC's colors as its palette."""
    image = Image.fromarray(mask)
    image.putpalette(voc_colors().tobytes())
    return image


def overlay(image: ImageArray, mask: Mask) -> Image.Image:
    """The image below the colors of its classes; class 0, VOC's background, is shown in gray."""
    colors = Image.fromarray(voc_colors()[mask])
    blended = Image.blend(Image.fromarray(image), colors, OPACITY)
    gray = Image.fromarray(image).convert("L").convert("RGB")
    return Image.composite(gray, blended, Image.fromarray(np.uint8(255) * (mask == 0)))


def overlay_with_legend(image: ImageArray, mask: Mask, classes: Sequence[str]) -> Image.Image:
    """The overlay, and below it the names of the classes that are in it."""
    image = overlay(image, mask)
    return column([image, legend(_colors(classes, [mask]), image.width)], MARGIN)


def draw_predictions(path: Path, title: str, panels: Sequence[Panel], classes: Sequence[str]) -> None:
    """A row for each image: itself, truth, prediction, and that as an overlay."""
    strips = {}
    for label, image, truth, prediction in panels:
        images = [
            Image.fromarray(image),
            as_mask(truth).convert("RGB"),
            as_mask(prediction).convert("RGB"),
            overlay(image, prediction),
        ]
        size = (WIDTH, max(1, round(WIDTH * image.shape[0] / image.shape[1])))
        how = [Image.Resampling.BILINEAR, *[Image.Resampling.NEAREST] * 2, Image.Resampling.BILINEAR]
        strips[label] = row([image.resize(size, h) for image, h in zip(images, how, strict=True)])
    shown = [mask for panel in panels for mask in (panel.truth, panel.prediction)]
    strips["classes"] = legend(_colors(classes, shown), 4 * WIDTH)
    save(path, sheet(f"{title}: image, truth, prediction, overlay", strips, 2 * GAP))


def draw_confusion(path: Path, confusion: Confusion, classes: Sequence[str]) -> None:
    """For each true class, a row, the shares of its pixels that were given to each class."""
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


def _colors(classes: Sequence[str], masks: Sequence[np.ndarray]) -> dict[str, tuple[int, int, int]]:
    """The colors of the classes that occur, and of void."""
    found = sorted({int(label) for mask in masks for label in np.unique(mask)})
    palette = voc_colors().tolist()
    names = {label: "void" if label == VOID else classes[label] for label in found}
    return {name: tuple(palette[label]) for label, name in names.items()}
