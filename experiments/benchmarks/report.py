"""The results as text."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.certificate import Difference
from benchmarks.speed import OURS, PHASES

NAMES = {"train": "training", "eval": "evaluation", "predict": "prediction"}


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need to be: the first to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]).rstrip()

    return "\n".join([line(header), "  ".join("-" * width for width in widths), *map(line, rows)])


def certificate(differences: Mapping[str, Sequence[Difference]], batch_size: int) -> str:
    """A row a quantity, a column a network, and the distances of both programs to float64."""
    header = ["largest difference, as a share", *differences, "ours–f64", "theirs–f64", "tolerance", ""]
    rows = []
    for same in zip(*differences.values(), strict=True):
        tolerance = same[0].tolerance
        rows.append(
            [
                same[0].quantity,
                *(f"{d.between:.1e}" for d in same),
                f"{max(d.ours for d in same):.1e}",
                f"{max(d.theirs for d in same):.1e}",
                "as theirs" if np.isinf(tolerance) else f"{tolerance:.0e}",
                "ok" if all(d.is_good for d in same) else "TOO FAR",
            ]
        )
    title = (
        f"Parity of jaxcolor and PyTorch, both in float32: same weights, same batches of {batch_size}.\n"
        "Trained: after 50 steps of Adam. ours–f64 and theirs–f64: the distances of jaxcolor and of PyTorch\n"
        "to PyTorch in float64, those of the worst network."
    )
    return f"{title}\n\n{table(header, rows)}"


def is_good(differences: Mapping[str, Sequence[Difference]]) -> bool:
    """Whether a certificate holds."""
    return all(d.is_good for found in differences.values() for d in found)


def speed(result: Mapping[str, Any]) -> str:
    """A setting's table: each program's compile time, throughput, GFLOP/s and memory, then the ratios."""
    contestants = result["contestants"]
    phases = [phase for phase in PHASES if all(phase in values for values in contestants.values())]
    memory = result.get("peak_mebibytes", {})
    header = [
        "",
        "compile s",
        *(f"{NAMES[p]}, images/s" for p in phases),
        "GFLOP/s in training",
        "peak MiB",
    ]
    rows = []
    for name, values in contestants.items():
        cells = [f"{values['compile_seconds']:.1f}"]
        for phase in phases:
            figures = values[phase]
            spread = (figures["high"] - figures["low"]) / 2 / figures["seconds_a_batch"]
            cells.append(f"{figures['images_a_second']:,.0f} ±{spread:.0%}")
        peak = f"{memory[name]:,.0f}" if name in memory else "–"
        rows.append([name, *cells, f"{values['train']['gflops']:.1f}", peak])
    for name, why in result["failed"].items():
        rows.append([name, *["–"] * (len(header) - 2), f"failed: {why[:60]}"])
    title = (
        f"{result['model']}, {result['filters']} filters, batch {result['batch_size']}, "
        f"{result['side']}×{result['side']} pixels, {result['precision']}"
    )
    ratios = [ratio(result, phase) for phase in phases if f"{phase}_ratio" in result]
    return "\n".join([title, "", table(header, rows), "", *ratios])


def ratio(result: Mapping[str, Any], phase: str) -> str:
    """`training: 1.31 times pytorch eager (1.28–1.35 in single rounds)`."""
    low, high = result[f"{phase}_ratio_range"]
    value, best = result[f"{phase}_ratio"], result["best"][phase]
    return f"{NAMES[phase]}: {value:.2f} times {best} ({low:.2f}–{high:.2f} in single rounds)"


def growth(results: Sequence[Mapping[str, Any]], title: str) -> str:
    """How a train step's time and peak memory grow, and what they are for a pixel."""
    header = [title]
    for name in results[0]["contestants"]:
        header += [f"{name}: ms", "ns a pixel", "MiB", "bytes a pixel"]
    rows = []
    for result in results:
        pixels = result["batch_size"] * result["side"] ** 2
        row = [f"{result['batch_size']} × {result['side']}²"]
        for name, values in result["contestants"].items():
            seconds = values["train"]["seconds_a_batch"]
            row += [f"{seconds * 1e3:,.1f}", f"{seconds * 1e9 / pixels:,.0f}"]
            mebibytes = result.get("peak_mebibytes", {}).get(name)
            row += [f"{mebibytes:,.0f}", f"{mebibytes * 2**20 / pixels:,.0f}"] if mebibytes else ["–", "–"]
        rows.append(row)
    return table(header, rows)


def whole_run(result: Mapping[str, Any]) -> str:
    """Each run's seconds, in order."""
    rows = [[name, *(f"{s:.1f}" for s in seconds)] for name, seconds in result["seconds"].items()]
    turns = len(result["seconds"][OURS])
    header = [f"{result['model']}, {result['epochs']} epochs, s", *(f"run {i + 1}" for i in range(turns))]
    lines = [f"{result['ratio']:.2f} times as fast as {result['best']}", ""]
    lines += [f"{name}: {line}" for name, line in result["last_lines"].items()]
    return "\n".join([table(header, rows), "", *lines])


def profile(parts: Mapping[str, float]) -> str:
    """Milliseconds and shares, from the longest to the shortest."""
    whole = sum(parts.values())
    rows = [[part, f"{ms:.2f}", f"{ms / whole:.1%}"] for part, ms in parts.items()]
    return table(["part of the train step", "traced ms", "share"], rows)


def machine(facts: Mapping[str, Any], peak: Mapping[str, float]) -> str:
    """What it all ran on."""
    versions = facts["versions"]
    peaks = ", ".join(f"{value:,.0f} GFLOP/s by {name}" for name, value in peak.items())
    return (
        f"{facts['device']}; {facts['cpu']}; PyTorch on {facts['torch_device']}, "
        f"{facts['torch_threads']} threads of {facts['cpus']} CPUs\n"
        f"Python {versions['python']}, jax {versions['jax']}, torch {versions['torch']}; "
        f"float32 matrix products: {peaks}"
    )
