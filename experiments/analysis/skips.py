"""The effect of skip connections: networks with and without them, in loss, accuracy, looks and gradients."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.plots import Points, draw_lines
from analysis.report import Results, count, image, means_of, show, spread, table
from analysis.trainings import Trainer, Training
from jaxcolor.colorization.drawing import draw_grid
from jaxcolor.colorization.palette import paint
from jaxcolor.colorization.scores import ImageScores, colorfulness, score_baselines, score_images

SHOWN = 10  # images side by side
GRID = "skips-images.png"


# A network without skip connections and one with them, and the trainings of each.
Pair = Mapping[str, Sequence[Training]]


def measure(trainer: Trainer, pairs: Sequence[Pair], folder: Path) -> Results:
    """Return the results of each network over several seeds. Draw predictions of the first seed."""
    truth = trainer.truth["validation"]
    baselines = score_baselines(trainer.truth["train"], truth, trainer.palette)
    rows = {
        "original": truth.images[:SHOWN],
        "truth (palette)": paint(truth.labels[:SHOWN], trainer.palette),
    }
    networks = {}
    for name, trainings in (each for pair in pairs for each in pair.items()):
        trained = trainer.train(trainings)
        scores = []
        for one in trained:
            state = trainer.state(trainings[0].model, one.variables)
            predicted = trainer.predict(state, trainer.data("validation")["inputs"])
            scores.append(score_images(predicted, truth.labels, truth.images, trainer.palette))
            if one is trained[0]:
                rows[name] = paint(predicted[:SHOWN], trainer.palette)
        networks[name] = {
            "seeds": [one.by_epoch(trainings[0].epochs) for one in trained],
            "scores": [one._asdict() for one in scores],
        }
    draw_grid(folder / GRID, "validation images, first seed", rows)
    return {
        "networks": networks,
        "pairs": [list(pair) for pair in pairs],
        "baselines": {name: scores._asdict() for name, scores in baselines.items()},
        "originals": colorfulness(truth.images),
    }


def render(results: Results, folder: Path) -> str:
    """The part of the report, its plots written beside it."""
    networks = results["networks"]
    pairs = [{name: networks[name] for name in pair} for pair in results["pairs"]]
    curves = {name: _band(network["seeds"], "val_loss") for name, network in networks.items()}
    draw_lines(folder / "skips-curves.png", curves, x="epoch", y="validation loss")
    gradients = {
        name: {layer: _norms(n["seeds"], layer) for layer in n["seeds"][0][0]["gradient_norms"]}
        for name, n in networks.items()
    }
    draw_lines(folder / "skips-gradients.png", gradients, "epoch", "gradient norm of the kernel", log="y")
    first = next(iter(networks.values()))["seeds"]
    return "\n\n".join(
        [
            f"After {count(round(first[0][-1]['epoch']), 'epoch')}. {means_of(len(first))}",
            _scores_table(results),
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


def _scores_table(results: Results) -> str:
    """Return a table with the networks and the baselines, the least accurate one first."""
    header = ["", "loss", "accuracy", "PSNR, dB", "SSIM", "colorfulness"]
    rows = []
    for name, network in results["networks"].items():
        scores = [ImageScores(**values) for values in network["scores"]]
        cells = [
            name,
            show([seed[-1]["val_loss"] for seed in network["seeds"]]),
            show([one.accuracy for one in scores], 1, percent=True),
            show([one.psnr for one in scores], 2),
            show([one.ssim for one in scores]),
            show([one.colorfulness for one in scores], 1),
        ]
        rows.append((float(np.mean([one.accuracy for one in scores])), cells))
    for name, values in results["baselines"].items():
        one = ImageScores(**values)
        scores_shown = (f"{100 * one.accuracy:.1f} %", f"{one.psnr:.2f}", f"{one.ssim:.3f}")
        rows.append((one.accuracy, [name, "", *scores_shown, f"{one.colorfulness:.1f}"]))
    ordered = [cells for _, cells in sorted(rows, key=lambda row: row[0])]
    return table(header, [*ordered, ["original images", *[""] * 4, f"{results['originals']:.1f}"]])


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


def _band(seeds: Sequence[Sequence[dict[str, Any]]], name: str) -> Points:
    """Return mean and range of a value after each epoch."""
    return [(same[0]["epoch"], *spread([entry[name] for entry in same])) for same in _by_epoch(seeds)]


def _norms(seeds: Sequence[Sequence[dict[str, Any]]], layer: str) -> Points:
    return [
        (same[0]["epoch"], np.mean([entry["gradient_norms"][layer] for entry in same]))
        for same in _by_epoch(seeds)
    ]


def _by_epoch(seeds: Sequence[Sequence[dict[str, Any]]]) -> list[tuple[dict[str, Any], ...]]:
    """Return the entries of all seeds after each epoch, without those before training."""
    return [same for same in zip(*seeds, strict=True) if same[0]["epoch"] > 0]
