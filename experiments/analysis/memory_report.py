"""The memory of training as tables, a plot, and conclusions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analysis.memory import NETWORKS
from analysis.plots import draw_growth, growth
from analysis.report import GB, Results, image, size, table

INTRODUCTION = """\
Batches of {batch_size} images, float32, the train step as it is compiled for {device}. Convolutions of
another device keep and allocate other arrays.

- *Kept* are the arrays that automatic differentiation computes in the forward pass and keeps for the
  backward pass, before XLA decides which of them it computes twice. Images, cached features and parameters
  are not counted, because they exist anyway.
- *Temporary* is the memory that XLA allocates during the step: for activations, intermediate results and
  gradients. XLA does not know what libraries allocate inside of their calls.
- *In all* is the sum of the step's arguments (parameters, BatchNorm's statistics, optimizer state, batch),
  temporary memory, and outputs that do not replace an argument.
- *Cached* is the size of the features of one image on disk."""
QUANTITIES = {
    "parameters": "parameters",
    "optimizer": "optimizer state",
    "gradients": "gradients",
    "kept": "kept",
    "temporary": "temporary",
    "whole": "in all",
    "features": "cached per image",
}
Row = dict[str, Any]  # a case and its bytes


def render(results: Results, folder: Path) -> str:
    """Return the section of the report, and write its plot."""
    names = dict.fromkeys(row["network"] for row in results["rows"])
    networks = {NETWORKS[n]: [row for row in results["rows"] if row["network"] == n] for n in names}
    labels = {"kept": "kept activations, GB", "temporary": "temporary memory, GB"}
    draw_growth(
        folder / "memory.png",
        {
            label: {
                network: {kind: _points(rows, kind, name, GB) for kind in _kinds(rows)}
                for network, rows in networks.items()
            }
            for name, label in labels.items()
        },
        x="pixels per side",
        fitted=[labels["kept"]],
    )
    texts = [INTRODUCTION.format(**results)]
    for network, rows in networks.items():
        texts += [f"### {network}", _table(rows), _conclusion(rows)]
    caption = "Kept activations and temporary memory over the side of the images"
    return "\n\n".join([*texts, image("memory.png", caption)])


def _kinds(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["kind"] for row in rows))


def _sides(rows: Sequence[Row]) -> list[int]:
    return sorted({row["side"] for row in rows})


def _points(rows: Sequence[Row], kind: str, name: str, unit: float = 1) -> list[tuple[int, float]]:
    return [(row["side"], row[name] / unit) for row in rows if row["kind"] == kind]


def _table(rows: Sequence[Row]) -> str:
    """Return a table with a column per trained part, and a row per quantity and image size."""
    kinds, sides = _kinds(rows), _sides(rows)
    of = {(row["kind"], row["side"]): row for row in rows}
    lines = []
    for name, words in QUANTITIES.items():
        if not any(row[name] for row in rows):
            continue  # the UNet has no cached features
        bytes_ = {side: [of[kind, side][name] for kind in kinds] for side in sides}
        cells = {side: [size(number) if number else "" for number in bytes_[side]] for side in sides}
        if len(sides) > 1 and all(cells[side] == cells[sides[0]] for side in sides):
            lines.append([f"{words}, any size", *cells[sides[0]]])
        else:
            lines += [[f"{words}, {side}²", *cells[side]] for side in sides]
        if name == "kept" and len(sides) > 1:
            powers = [growth(_points(rows, kind, name)) for kind in kinds]
            lines.append([f"{words} ∝", *(f"side^{power:.2f}" for power in powers)])
    return table(["", *kinds], lines)


def _conclusion(rows: Sequence[Row]) -> str:
    """Compare sizes and trained parts in sentences."""
    of = {(row["kind"], row["side"]): row for row in rows}
    small, large = _compared(_sides(rows))
    before, after = of["everything", small], of["everything", large]
    sentences = []
    if small != large:
        constant = [name for name in ("parameters", "optimizer", "gradients") if before[name] == after[name]]
        stay = ", ".join(f"{QUANTITIES[name]} ({size(after[name])})" for name in constant)
        grow = " and ".join(
            f"{words} {after[name] / before[name]:.3g}-fold ({size(before[name])} to {size(after[name])})"
            for name, words in (("kept", "what is kept"), ("temporary", "temporary memory"))
        )
        sentences.append(
            f"From {small} to {large} pixels per side, {(large / small) ** 2:.3g} times as many pixels, "
            f"training everything leaves {stay} as they are, and increases {grow}. The published answer, "
            "that nothing changes, holds for the former only."
        )
    shares = []
    for kind in _kinds(rows):
        numbers = [f"{100 * of[kind, large][n] / after[n]:.2g} %" for n in ("optimizer", "kept", "whole")]
        if kind != "everything":
            shares.append(f"*{kind}* {', '.join(numbers)}")
    if shares:
        sentences.append(
            f"At {large} pixels per side, shares of the optimizer state, the kept activations and the whole "
            f"memory of training everything: {'; '.join(shares)}."
        )
    return " ".join(sentences)


def _compared(sides: Sequence[int]) -> tuple[int, int]:
    """Return the two largest sides of which one doubles the other, or the smallest and the largest."""
    doubled = [(side, 2 * side) for side in sides if 2 * side in sides]
    return doubled[-1] if doubled else (sides[0], sides[-1])
