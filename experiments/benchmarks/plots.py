"""The sweep over batch sizes as a drawing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.report import NAMES
from benchmarks.speed import OURS, PHASES
from jaxcolor.figures import COLORS, save_figure, unadorn


def draw_sweep(path: Path, results: Sequence[Mapping[str, Any]]) -> None:
    """Images a second over the batch size: a row a network, a column a phase, a line a program."""
    models = list(dict.fromkeys(result["model"] for result in results))
    figure = Figure(figsize=(11, 3.2 * len(models)), layout="constrained")
    grid = figure.subplots(len(models), len(PHASES), squeeze=False)
    for row, model in zip(grid, models, strict=True):
        chosen = [result for result in results if result["model"] == model]
        names = list(dict.fromkeys(name for result in chosen for name in result["contestants"]))
        for axes, phase in zip(row, PHASES, strict=True):
            for name, color in zip(names, COLORS, strict=False):
                ran = [result for result in chosen if name in result["contestants"]]
                speeds = [r["contestants"][name][phase]["images_a_second"] for r in ran]
                sizes = [r["batch_size"] for r in ran]
                width = 2.0 if name == OURS else 1.2
                axes.plot(sizes, speeds, color=color, label=name, marker="o", markersize=3, linewidth=width)
            axes.set_xscale("log")
            axes.set_xticks(sorted({r["batch_size"] for r in chosen}), minor=False)
            axes.set_xticks([], minor=True)
            axes.xaxis.set_major_formatter("{x:.0f}")
            axes.set_ylim(bottom=0)
            axes.set_title(f"{model}: {NAMES[phase]}")
            axes.set_xlabel("images a batch")
            unadorn(axes)
        row[0].set_ylabel("images a second")
        row[0].legend(frameon=False, fontsize="small")
    save_figure(path, figure)
