"""The curves of a run, drawn from its metrics."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxcolor.files import write_atomically

COLORS = ("#4477AA", "#EE6677", "#228833", "#AA3377")  # Paul Tol's bright scheme, safe for all eyes


def draw_curves(
    path: Path, history: Sequence[Mapping[str, float]], panels: Mapping[str, Mapping[str, str]]
) -> None:
    """A panel for each entry: axis label → {metric: legend}, over the epochs of `history`."""
    figure = Figure(figsize=(4.6 * len(panels), 3.4), layout="constrained")
    epochs = [metrics["epoch"] for metrics in history]
    for axes, (label, names) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for color, (name, legend) in zip(COLORS, names.items(), strict=False):
            values = [metrics[name] for metrics in history]
            axes.plot(epochs, values, color=color, label=f"{legend}: {values[-1]:.4f}", marker="o", markersize=2.5)
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=110))
