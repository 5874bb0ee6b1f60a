"""`jaxcolor runs`: a table of all runs in a folder, and their curves in one figure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import tyro

from jaxcolor.errors import UserError
from jaxcolor.training.history import VAL_LOSS, History, best_epoch
from jaxcolor.training.run_folder import RunFolder

# The score of each program, besides the loss, and whether it is a share.
SCORES = {"colorize": ("val_accuracy", True), "photo": ("psnr", False), "segment": ("mean_iou", True)}
# Settings that say where a run is, or how it is shown, and not what it trains.
NOT_SHOWN = {
    "name", "runs_dir", "resume", "overwrite", "plot_every", "log", "evaluate", "predict", "out",
    "checkpoint", "data_dir", "save_steps", "devices", "coordinator", "processes", "process", "cache_limit",
    "activations",
}  # fmt: skip
LONGEST = 24  # characters of a setting


@dataclass(frozen=True)
class RunsConfig:
    """List the runs in a folder, with their scores and the settings that differ."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="[FOLDER]")] = Path("runs")
    """Folder of all run folders."""
    sort: Annotated[str, tyro.conf.arg(metavar="COLUMN")] = "loss"
    """Column to sort by: run, loss, score, time, or a setting. The best come first."""
    plot: Annotated[Path | None, tyro.conf.arg(help_behavior_hint="", metavar="FILE")] = None
    """A PNG file for the curves of all runs."""


class Run(NamedTuple):
    """A run as the table shows it. `history` has an entry per trained epoch."""

    name: str
    task: str
    settings: dict[str, Any]
    history: History

    @property
    def best(self) -> int:
        """The epoch whose checkpoint is the best."""
        return best_epoch(self.history, self.settings.get("best", VAL_LOSS))

    def value(self, metric: str, epoch: int) -> float:
        """Return a metric after an epoch."""
        return next(metrics[metric] for metrics in self.history if metrics["epoch"] == epoch)

    @property
    def seconds(self) -> float:
        """The time of all epochs."""
        return sum(metrics["seconds"] for metrics in self.history)


def list_runs(config: RunsConfig) -> None:
    """Print a table per program of the runs in a folder. Raises `UserError` if there are none."""
    runs, others = find_runs(config.folder)
    if not runs and not others:
        raise UserError(f"there are no runs in {config.folder}: give the folder that holds them")
    tasks = [task for task in SCORES if any(run.task == task for run in runs)]
    groups = [[run for run in runs if run.task == task] for task in tasks]
    columns = dict.fromkeys(column for group in groups for column in orders(group))
    if runs and config.sort not in columns:
        raise UserError(f"there is no column {config.sort!r}: sort by {', '.join(columns)}")
    print("\n\n".join(format_table(make_table(group, config.sort)) for group in groups))
    for name, problem in others.items():
        print(f"{name}: {problem}")
    if config.plot and runs:
        # Importing Matplotlib takes half a second.
        from jaxcolor.training.curves import draw_runs

        draw_runs(config.plot, {run.name: run.history for run in runs})
        print(config.plot)


def find_runs(folder: Path) -> tuple[list[Run], dict[str, str]]:
    """Return the runs in a folder; and those that no table can show, with what is wrong with them."""
    runs, others = [], {}
    places = sorted(folder.iterdir()) if folder.is_dir() else []
    for run in (RunFolder(place) for place in places):
        name = run.path.name
        try:
            if not run.is_run():
                continue
            record = run.read_config()
        except UserError as error:
            others[name] = str(error)
            continue
        history = [metrics for metrics in run.read_metrics() if metrics["epoch"] > 0]
        if record["task"] not in SCORES:
            others[name] = f"a run of {record['task']}"
        elif not history:
            others[name] = "no epoch is finished"
        else:
            runs.append(Run(name, record["task"], record["settings"], history))
    return runs, others


def make_table(runs: Sequence[Run], sort: str) -> list[list[str]]:
    """Return the rows of a table of runs of one program, the headings first.

    Without a column `sort` the runs are sorted by their loss.
    """
    task = runs[0].task
    score, is_share = SCORES[task]
    different = differing_settings(runs)
    order = orders(runs).get(sort) or orders(runs)["loss"]

    def show_score(value: float) -> str:
        return f"{100 * value:.1f} %" if is_share else f"{value:.2f}"

    label = score.removeprefix("val_").replace("_", " ")
    rows = [[task, "epochs", "best", "loss", "last loss", label, f"last {label}", "time", *different]]
    for run in sorted(runs, key=order):
        last = run.history[-1]["epoch"]
        rows.append(
            [
                run.name,
                f"{last}/{run.settings['epochs']}",
                str(run.best),
                *(f"{run.value('val_loss', epoch):.4f}" for epoch in (run.best, last)),
                *(show_score(run.value(score, epoch)) for epoch in (run.best, last)),
                f"{run.seconds / 60:.1f} min",
                *(show(run.settings.get(name)) for name in different),
            ]
        )
    return rows


def orders(runs: Sequence[Run]) -> dict[str, Callable[[Run], Any]]:
    """Return what the runs of one program can be sorted by, by the names of the columns."""
    score, _ = SCORES[runs[0].task]
    return {
        "run": lambda run: run.name,
        "loss": lambda run: run.value("val_loss", run.best),
        "score": lambda run: -run.value(score, run.best),
        "time": lambda run: run.seconds,
    } | {name: lambda run, name=name: show(run.settings.get(name)) for name in differing_settings(runs)}


def differing_settings(runs: Sequence[Run]) -> list[str]:
    """Return the names of the settings that are not the same in all runs, in the order of the first."""
    names = dict.fromkeys(name for run in runs for name in run.settings if name not in NOT_SHOWN)
    return [name for name in names if len({repr(run.settings.get(name)) for run in runs}) > 1]


def show(value: Any) -> str:
    """Return a setting for a cell. A long path keeps its end."""
    if value is None:
        return "—"
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= LONGEST else f"…{text[1 - LONGEST :]}"


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Return a table as text: the first column flush left, the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    return "\n".join(lines)
