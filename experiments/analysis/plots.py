"""Lines and bands of the report."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxcolor.figures import COLORS, save_figure, unadorn

SIZE = (6.4, 3.8)  # inches per panel
Points = Sequence[Sequence[float]]  # (x, y), or (x, y, lowest, highest) for a band
Lines = Mapping[str, Points]


def draw_lines(
    path: Path,
    panels: Mapping[str, Any],
    x: str,
    y: str,
    log: Literal["", "x", "y"] = "",
    ticks: Sequence[float] = (),
) -> None:
    """Draw a line per entry, with a band if its points have one; or panels of lines with their titles."""
    is_one = not isinstance(next(iter(panels.values())), Mapping)
    titled: Mapping[str, Lines] = {"": panels} if is_one else panels
    figure = Figure(figsize=(SIZE[0] * (0.5 + len(titled) / 2), SIZE[1]), layout="constrained")
    for axes, (title, lines) in zip(
        figure.subplots(1, len(titled), squeeze=False, sharey=True)[0], titled.items(), strict=True
    ):
        for (label, points), color in zip(lines.items(), COLORS * 3, strict=False):
            _draw(axes, label, points, color)
        _style(axes, title, x, log, ticks)
    figure.axes[0].set_ylabel(y)
    # A panel may have lines that others lack.
    entries = {line.get_label(): line for axes in figure.axes for line in axes.get_lines()}
    figure.axes[-1].legend(
        handles=list(entries.values()),
        frameon=False,
        fontsize="small",
        loc="upper left",
        bbox_to_anchor=(1, 1),
    )
    save_figure(path, figure)


def draw_growth(path: Path, rows: dict[str, Mapping[str, Lines]], x: str, fitted: Collection[str]) -> None:
    """A row for each axis label, a column for each title, all axes logarithmic.

    Rows that are `fitted` have points and the powers of x that are fitted to them, others lines.
    """
    columns = len(next(iter(rows.values())))
    names = dict.fromkeys(name for panels in rows.values() for lines in panels.values() for name in lines)
    colors = dict(zip(names, COLORS * 3, strict=False))
    figure = Figure(figsize=(4.2 * columns, 3.6 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False, sharey="row", sharex=True)
    for row, (label, panels) in zip(grid, rows.items(), strict=True):
        first, last = label == next(iter(rows)), label == next(reversed(rows))
        for axes, (title, lines) in zip(row, panels.items(), strict=True):
            for name, points in lines.items():
                draw = _draw_power if label in fitted and len(points) > 1 else _draw
                draw(axes, name, points, colors[name])
            ticks = sorted({point[0] for points in lines.values() for point in points})
            _style(axes, title if first else "", x if last else "", "xy", ticks)
            axes.legend(frameon=False, fontsize="x-small", loc="upper left")
        row[0].set_ylabel(label)
        low, high = row[0].get_ylim()
        row[0].set_ylim(top=high * (high / low) ** 0.5)  # room for the legends
    save_figure(path, figure)


def _draw_power(axes: Axes, label: str, points: Points, color: str) -> None:
    """Draw points, and the power of x that is fitted to them."""
    xs, ys = zip(*points, strict=True)
    exponent, factor = _power(points)
    axes.plot(xs, [factor * place**exponent for place in xs], "--", color=color, linewidth=1)
    axes.plot(xs, ys, "o", color=color, label=f"{label}, ∝ side^{exponent:.2f}", markersize=4)


def growth(points: Points) -> float:
    """Return the exponent of x with which y grows, fitted to their logarithms by least squares."""
    return _power(points)[0]


def _power(points: Points) -> tuple[float, float]:
    """Return exponent and factor of the fitted power of x."""
    xs, ys = np.log(np.asarray(points)[:, :2].T)
    exponent, constant = np.polyfit(xs, ys, 1)
    return float(exponent), float(np.exp(constant))


def _style(axes: Axes, title: str, x: str, log: str, ticks: Sequence[float]) -> None:
    axes.set_title(title, fontsize="medium")
    axes.set_xlabel(x)
    axes.set_xscale("log" if "x" in log else "linear")
    axes.set_yscale("log" if "y" in log else "linear")
    if ticks:
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_xticks([], minor=True)
    elif "x" not in log:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    unadorn(axes)


def _draw(axes: Axes, label: str, points: Points, color: str) -> None:
    columns = list(zip(*points, strict=True))
    style = "--" if label.startswith("published") else "-"
    axes.plot(columns[0], columns[1], style, color=color, label=label, marker="o", markersize=2.5)
    if len(columns) == 4:
        axes.fill_between(columns[0], columns[2], columns[3], color=color, alpha=0.2, linewidth=0)
