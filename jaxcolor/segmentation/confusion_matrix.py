"""The drawing of a confusion matrix."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from jaxcolor.figures import save_figure
from jaxcolor.segmentation.scores import Confusion

NUMBERED = 40  # a confusion matrix of more classes has smaller cells without numbers
SMALLEST = 2.6  # side of a confusion matrix, in inches


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
