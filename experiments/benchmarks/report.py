"""The results of the benchmarks as text, and the sweep over batch sizes as a plot."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.certificate import Difference
from benchmarks.rounds import summarize
from benchmarks.speed import OURS, PHASES
from jaxcolor.figures import COLORS, save_figure, unadorn

PHASE_NAMES = {"train": "training", "eval": "evaluation", "predict": "prediction"}


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an aligned table: the first column is left-aligned, the others are right-aligned."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]).rstrip()

    return "\n".join([line(header), "  ".join("-" * width for width in widths), *map(line, rows)])


def machine_text(machine: Mapping[str, Any], peak: Mapping[str, float]) -> str:
    """Return the description of the machine, with its GFLOP/s for matrix products."""
    versions = machine["versions"]
    peaks = ", ".join(f"{value:,.0f} GFLOP/s ({name})" for name, value in peak.items())
    return (
        f"{machine['device']}; {machine['cpu']}; PyTorch on {machine['torch_device']}, "
        f"{machine['torch_threads']} threads on {machine['cpus']} CPUs\n"
        f"Python {versions['python']}, jax {versions['jax']}, torch {versions['torch']}; "
        f"float32 matrix products: {peaks}"
    )


def certificate_text(differences: Mapping[str, Sequence[Difference]], batch_size: int) -> str:
    """Return one row per quantity and one column per network, with the distances to float64."""
    header = ["largest relative difference", *differences, "jaxcolor–f64", "PyTorch–f64", "tolerance", ""]
    by_network = [{found.quantity: found for found in of_one} for of_one in differences.values()]
    longest = max(by_network, key=len)  # the networks differ in their number of layers
    rows = []
    for quantity in longest:
        same = [found[quantity] for found in by_network if quantity in found]
        tolerance = same[0].tolerance
        rows.append(
            [
                quantity,
                *(f"{found[quantity].between:.1e}" if quantity in found else "–" for found in by_network),
                f"{max(d.ours for d in same):.1e}",
                f"{max(d.theirs for d in same):.1e}",
                "as PyTorch" if np.isinf(tolerance) else f"{tolerance:.0e}",
                "ok" if all(d.is_good for d in same) else "TOO FAR",
            ]
        )
    title = (
        f"Parity of jaxcolor and PyTorch in float32: equal weights, equal batches of {batch_size} images.\n"
        "trained: after 50 steps of Adam. jaxcolor–f64 and PyTorch–f64: the distance of each program to\n"
        "PyTorch in float64, for the network where it is largest."
    )
    return f"{title}\n\n{table(header, rows)}"


def speed_text(result: Mapping[str, Any]) -> str:
    """Return compile time, throughput and memory of each program in a setting, and jaxcolor's ratios."""
    contestants = result["contestants"]
    phases = [phase for phase in PHASES if all(phase in values for values in contestants.values())]
    memory = result.get("peak_mebibytes", {})
    header = [
        "",
        "compile s",
        *(f"{PHASE_NAMES[phase]}, images/s" for phase in phases),
        "training GFLOP/s",
        "peak MiB",
    ]
    rows = []
    for name, values in contestants.items():
        cells = [f"{values['compile_seconds']:.1f}"]
        for phase in phases:
            figures = values[phase]
            spread = (figures["high"] - figures["low"]) / 2 / figures["seconds_per_batch"]
            cells.append(f"{figures['images_per_second']:,.0f} ±{spread:.0%}")
        peak = f"{memory[name]:,.0f}" if name in memory else "–"
        rows.append([name, *cells, f"{values['train']['gflops']:.1f}", peak])
    for name, error in result["failed"].items():
        rows.append([name, *["–"] * (len(header) - 2), f"failed: {error[:60]}"])
    title = (
        f"{result['model']}, {result['filters']} filters, batch {result['batch_size']}, "
        f"{result['side']}×{result['side']} pixels, {result['precision']}"
    )
    ratios = [ratio_text(result, phase) for phase in phases if f"{phase}_ratio" in result]
    return "\n".join([title, "", table(header, rows), "", *ratios])


def ratio_text(result: Mapping[str, Any], phase: str) -> str:
    """Return a line such as `training: 1.31 times as fast as pytorch eager (1.28–1.35 in single rounds)`."""
    low, high = result[f"{phase}_ratio_range"]
    comparison = f"{result[f'{phase}_ratio']:.2f} times as fast as {result['best'][phase]}"
    return f"{PHASE_NAMES[phase]}: {comparison} ({low:.2f}–{high:.2f} in single rounds)"


def sizes_text(results: Sequence[Mapping[str, Any]]) -> str:
    """Return time and peak memory of a train step for each size of the images, in total and per pixel."""
    header = [f"{results[0]['model']}, images"]
    for name in results[0]["contestants"]:
        header += [f"{name}: ms", "ns/pixel", "MiB", "bytes/pixel"]
    rows = []
    for result in results:
        pixels = result["batch_size"] * result["side"] ** 2
        row = [f"{result['batch_size']} × {result['side']}²"]
        for name, values in result["contestants"].items():
            seconds = values["train"]["seconds_per_batch"]
            row += [f"{seconds * 1e3:,.1f}", f"{seconds * 1e9 / pixels:,.0f}"]
            mebibytes = result.get("peak_mebibytes", {}).get(name)
            row += [f"{mebibytes:,.0f}", f"{mebibytes * 2**20 / pixels:,.0f}"] if mebibytes else ["–", "–"]
        rows.append(row)
    return table(header, rows)


def profile_text(parts: Mapping[str, float]) -> str:
    """Return the milliseconds of each part of a train step, and its share."""
    total = sum(parts.values())
    rows = [[part, f"{ms:.2f}", f"{ms / total:.1%}"] for part, ms in parts.items()]
    return table(["part of the train step", "traced ms", "share"], rows)


def whole_runs_text(result: Mapping[str, Any]) -> str:
    """Return the seconds of each run, in order, and the last line that each program printed."""
    rows = [[name, *(f"{s:.1f}" for s in seconds)] for name, seconds in result["seconds"].items()]
    runs = len(result["seconds"][OURS])
    header = [f"{result['model']}, {result['epochs']} epochs, s", *(f"run {i + 1}" for i in range(runs))]
    lines = [f"{result['ratio']:.2f} times as fast as {result['best']}", ""]
    lines += [f"{name}: {line}" for name, line in result["last_lines"].items()]
    return "\n".join([table(header, rows), "", *lines])


SEGMENTATION_PARTS = {
    "forward": ("frozen forward pass", "s per batch"),
    "training": ("step that trains everything", "s per batch"),
    "prediction": ("prediction of photographs of 1920×1080 pixels", "s per photograph"),
    "runs": ("whole run that trains the last layer", "s"),
}


def segmentation_text(part: str, result: Mapping[str, Any]) -> str:
    """Return the median times of a part of `benchmark.py segment`, and how the results compare."""
    rows = [[name, f"{summarize(times).median:.3g}"] for name, times in result["seconds"].items()]
    line = f"{result['ratio']:.2f} times as fast as {result['best']}; {result['agreement']}"
    return "\n".join([table(list(SEGMENTATION_PARTS[part]), rows), "", line])


def draw_sweep(path: Path, results: Sequence[Mapping[str, Any]]) -> None:
    """Plot images per second over the batch size, with one row per network and one column per phase."""
    models = list(dict.fromkeys(result["model"] for result in results))
    figure = Figure(figsize=(11, 3.2 * len(models)), layout="constrained")
    grid = figure.subplots(len(models), len(PHASES), squeeze=False)
    for row, model in zip(grid, models, strict=True):
        chosen = [result for result in results if result["model"] == model]
        names = list(dict.fromkeys(name for result in chosen for name in result["contestants"]))
        for axes, phase in zip(row, PHASES, strict=True):
            for name, color in zip(names, COLORS, strict=False):
                compiled = [result for result in chosen if name in result["contestants"]]
                speeds = [result["contestants"][name][phase]["images_per_second"] for result in compiled]
                sizes = [result["batch_size"] for result in compiled]
                width = 2.0 if name == OURS else 1.2
                axes.plot(sizes, speeds, color=color, label=name, marker="o", markersize=3, linewidth=width)
            axes.set_xscale("log")
            axes.set_xticks(sorted({result["batch_size"] for result in chosen}), minor=False)
            axes.set_xticks([], minor=True)
            axes.xaxis.set_major_formatter("{x:.0f}")
            axes.set_ylim(bottom=0)
            axes.set_title(f"{model}: {PHASE_NAMES[phase]}")
            axes.set_xlabel("images per batch")
            unadorn(axes)
        row[0].set_ylabel("images per second")
        row[0].legend(frameon=False, fontsize="small")
    save_figure(path, figure)
