"""The curves of a run, drawn from its metrics."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxcolor.drawing import COLORS, save_figure, unadorn

SPLIT_COLORS = {"train": COLORS[0], "validation": COLORS[1]}


def draw_curves(
    path: Path, history: Sequence[Mapping[str, float]], panels: Mapping[str, Mapping[str, str]]
) -> None:
    """Draw one panel per entry of `panels`, axis label → {metric: split}, over the epochs of `history`.

    The values before any training (epoch 0) are in the legend alone: on the axes they would dwarf the others.
    """
    before = history[0] if history[0]["epoch"] == 0 else {}
    history = [metrics for metrics in history if metrics["epoch"] > 0]
    figure = Figure(figsize=(4.6 * len(panels), 3.4), layout="constrained")
    epochs = [metrics["epoch"] for metrics in history]
    for axes, (label, names) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        for name, split in names.items():
            values = [metrics[name] for metrics in history]
            legend = f"{split}: {values[-1]:.4f}"
            if name in before:
                legend += f", at first {before[name]:.4f}"
            axes.plot(epochs, values, color=SPLIT_COLORS[split], label=legend, marker="o", markersize=2.5)
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        unadorn(axes)
        axes.legend(frameon=False)
    save_figure(path, figure)
