"""The curves of a run, drawn from its metrics."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxcolor.figures import COLORS, save_figure, unadorn
from jaxcolor.training.history import VAL_LOSS, History, best_epoch

SPLIT_COLORS = {"train": COLORS[0], "validation": COLORS[1]}


def draw_curves(
    path: Path, title: str, history: History, panels: Mapping[str, Mapping[str, str]], metric: str = VAL_LOSS
) -> None:
    """Draw one panel per entry of `panels`, axis label → {metric: split}, over the epochs of `history`.

    A dot marks the best epoch by a metric. The values before any training (epoch 0)
    are in the legend alone: on the axes they would dwarf the others.
    """
    before = history[0] if history[0]["epoch"] == 0 else {}
    history = [metrics for metrics in history if metrics["epoch"] > 0]
    best = best_epoch(history, metric)
    figure = Figure(figsize=(4.6 * len(panels), 3.9), layout="constrained")
    figure.suptitle(title, fontsize=10)
    epochs = [metrics["epoch"] for metrics in history]
    for axes, (label, names) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        for name, split in names.items():
            values = [metrics[name] for metrics in history]
            legend = f"{split}: {values[-1]:.4f}"
            if name in before:
                legend += f", before training {before[name]:.4f}"
            size = 2.5 if len(history) > 1 else 6
            axes.plot(epochs, values, color=SPLIT_COLORS[split], label=legend, marker="o", markersize=size)
            if split == "validation":
                _mark(axes, best, values[epochs.index(best)], SPLIT_COLORS[split])
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.set_xticks(epoch_ticks(epochs[0], epochs[-1]))
        unadorn(axes)
        # Below the axes, because there is no corner that no curve may reach.
        axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.17))
    save_figure(path, figure)


def draw_runs(path: Path, histories: Mapping[str, History]) -> None:
    """Draw the validation loss of several runs over their epochs. A dot marks the lowest."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for index, (name, history) in enumerate(histories.items()):
        epochs = [metrics["epoch"] for metrics in history]
        losses = [metrics["val_loss"] for metrics in history]
        style = ("-", "--", ":", "-.")[index // len(COLORS) % 4]
        color, best = COLORS[index % len(COLORS)], best_epoch(history)
        axes.plot(epochs, losses, style, color=color, label=f"{name}: {min(losses):.4f}")
        axes.plot([best], [min(losses)], "o", color=color, markeredgecolor="black", zorder=3)
    axes.set_xlabel("epoch")
    axes.set_ylabel("validation loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    unadorn(axes)
    figure.legend(frameon=False, loc="outside right upper", fontsize=8)
    save_figure(path, figure)


def epoch_ticks(first: int, last: int) -> list[int]:
    """Return whole numbers for ticks, the first and the last epoch among them."""
    between = [int(tick) for tick in MaxNLocator(8, integer=True).tick_values(first, last)]
    room = (last - first) / 14  # a tick that is nearer to the first or the last would touch its number
    return [first, *(tick for tick in between if first + room < tick < last - room), *{last} - {first}]


def _mark(axes: Axes, epoch: int, value: float, color: str) -> None:
    """Draw a dot with a ring at an epoch, and its value in the legend."""
    axes.plot(
        [epoch], [value], linestyle="none", marker="o", markersize=7, markerfacecolor=color,
        markeredgecolor="black", zorder=3, label=f"best epoch ({epoch}): {value:.4f}",
    )  # fmt: skip
