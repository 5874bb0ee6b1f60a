"""The effect of skip connections: networks with and without them, in loss, accuracy, looks and gradients."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.config import network_name
from analysis.networks import (
    by_epoch,
    curves,
    measure_baselines,
    measure_trainings,
    scores_table,
    truth_rows,
)
from analysis.plots import Points, draw_lines
from analysis.report import Results, count, image, means_of, table
from analysis.trainings import Trainer, Training
from jaxcolor.drawing import draw_grid

GRID = "skips-images.png"


# A network without skip connections and one with them, by the names of `--model`, and the trainings of each.
Pair = Mapping[str, Sequence[Training]]


def measure(trainer: Trainer, pairs: Sequence[Pair], folder: Path) -> Results:
    """Return the results of each network over several seeds. Draw predictions of the first seed."""
    networks, rows = measure_trainings(trainer, {model: pair[model] for pair in pairs for model in pair})
    draw_grid(folder / GRID, "validation images, first seed", truth_rows(trainer) | rows)
    return {"networks": networks, "pairs": [list(pair) for pair in pairs], **measure_baselines(trainer)}


def render(results: Results, folder: Path) -> str:
    """The part of the report, its plots written beside it."""
    networks = results["networks"]
    pairs = [{network_name(model): networks[model] for model in pair} for pair in results["pairs"]]
    draw_lines(folder / "skips-curves.png", curves(networks), x="epoch", y="validation loss")
    gradients = {
        name: {layer: _norms(n["seeds"], layer) for layer in n["seeds"][0][0]["gradient_norms"]}
        for pair in pairs
        for name, n in pair.items()
    }
    draw_lines(folder / "skips-gradients.png", gradients, "epoch", "gradient norm of the kernel", log="y")
    first = next(iter(networks.values()))["seeds"]
    return "\n\n".join(
        [
            f"After {count(round(first[0][-1]['epoch']), 'epoch')}. {means_of(len(first))}",
            scores_table(results),
            *map(_conclusion, pairs),
            image("skips-curves.png", "Validation losses: mean and range over seeds"),
            image(GRID, "Ten validation images by all networks"),
            "Norms of the gradient of the loss for each layer's kernel, on the same images, mean over seeds:",
            *map(_gradients_table, pairs),
            image("skips-gradients.png", "Gradient norms by layer, during training"),
        ]
    )


def _conclusion(pair: Mapping[str, Any]) -> str:
    """Compare the losses of both networks with the spread over seeds."""
    losses = {name: [seed[-1]["val_loss"] for seed in n["seeds"]] for name, n in pair.items()}
    first, second = losses
    gain = np.mean(losses[first]) - np.mean(losses[second])
    difference = f"The {second}'s loss is {abs(gain):.3f} {'below' if gain > 0 else 'above'} the {first}'s"
    if len(losses[first]) == 1:
        return f"{difference}; one seed does not show how much of that is chance."
    largest = max(max(values) - min(values) for values in losses.values())
    return f"{difference}; the seeds of a network differ by at most {largest:.3f}."


def _gradients_table(networks: Mapping[str, Any]) -> str:
    """Return a table with a row per network and epoch: before training, after one epoch, at the end."""
    rows = []
    for name, network in networks.items():
        seeds = network["seeds"]
        layers = list(seeds[0][0]["gradient_norms"])
        for place in dict.fromkeys((0, 1, len(seeds[0]) - 1)):
            values = [np.mean([seed[place]["gradient_norms"][layer] for seed in seeds]) for layer in layers]
            rows.append([f"{name}, epoch {seeds[0][place]['epoch']:.0f}", *(f"{v:.3f}" for v in values)])
    return table(["", *(layer.replace("layer", "layer ") for layer in layers)], rows)


def _norms(seeds: Sequence[Sequence[dict[str, Any]]], layer: str) -> Points:
    return [
        (same[0]["epoch"], np.mean([entry["gradient_norms"][layer] for entry in same]))
        for same in by_epoch(seeds)
    ]
