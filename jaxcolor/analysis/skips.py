"""Whether skip connections help: the CNN beside a UNet, in loss, accuracy, looks and gradients."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxcolor.analysis.plots import Points, draw_lines
from jaxcolor.analysis.report import Results, picture, table
from jaxcolor.analysis.spread import show, spread
from jaxcolor.analysis.trainings import Trainer, Training
from jaxcolor.colorization.baselines import PERFECT, score_baselines, ways
from jaxcolor.colorization.palette import paint
from jaxcolor.colorization.picture_metrics import PictureScores, colorfulness, score_pictures
from jaxcolor.colorization.plots import draw_grid
from jaxcolor.colorization.prediction import Predictor

SHOWN = 10  # pictures side by side
GRID = "skips-pictures.png"


def measure(trainer: Trainer, kinds: Mapping[str, Sequence[Training]], folder: Path) -> Results:
    """What the trainings of each kind, which differ in their seed alone, came to; draws their pictures.

    Pictures are those of the first seed.
    """
    truth = trainer.truth["validation"]
    baselines = score_baselines(trainer.truth["train"], truth, trainer.palette)
    predictor = Predictor()
    rows = {
        "original": truth.pictures[:SHOWN],
        "truth (palette)": paint(truth.labels[:SHOWN], trainer.palette),
    }
    networks = {}
    for name, trainings in kinds.items():
        trained = trainer.train(trainings)
        scores = []
        for one in trained:
            state = trainer.state(trainings[0].model, one.variables)
            predicted = predictor(state, trainer.data("validation")["inputs"])
            scores.append(score_pictures(predicted, truth.labels, truth.pictures, trainer.palette))
            if one is trained[0]:
                rows[name] = paint(predicted[:SHOWN], trainer.palette)
        networks[name] = {
            "seeds": [one.by_epoch(trainings[0].epochs) for one in trained],
            "scores": [one._asdict() for one in scores],
            "ways": [ways(one, baselines) for one in scores],
        }
    draw_grid(folder / GRID, "validation pictures, first seed", rows)
    return {
        "networks": networks,
        "baselines": {name: scores._asdict() for name, scores in baselines.items()},
        "originals": colorfulness(truth.pictures),
    }


def render(results: Results, folder: Path) -> str:
    """The part of the report, its plots written beside it."""
    networks = results["networks"]
    curves = {name: _band(network["seeds"], "val_loss") for name, network in networks.items()}
    draw_lines(folder / "skips-curves.png", curves, x="epoch", y="validation loss")
    gradients = {
        name: {layer: _norms(n["seeds"], layer) for layer in n["seeds"][0][0]["gradient_norms"]}
        for name, n in networks.items()
    }
    draw_lines(folder / "skips-gradients.png", gradients, "epoch", "gradient norm of the kernel", log="y")
    losses = {name: [seed[-1]["val_loss"] for seed in n["seeds"]] for name, n in networks.items()}
    (first, second), epochs = losses, next(iter(networks.values()))["seeds"][0][-1]["epoch"]
    gain = np.mean(losses[first]) - np.mean(losses[second])
    ranges = max(max(values) - min(values) for values in losses.values())
    return "\n\n".join(
        [
            f"After {epochs:.0f} epochs, {len(losses[first])} seeds each: mean (lowest–highest).",
            _scores_table(results),
            f"The {second}'s loss is {abs(gain):.3f} {'below' if gain > 0 else 'above'} the {first}'s, "
            f"{abs(gain) / max(ranges, 1e-12):.1f} times as much as seeds differ by at most ({ranges:.3f}). "
            "*of the way* is how far accuracy and PSNR have come from two guesses that need no network to a "
            f"perfect choice of palette colours: from {', '.join(list(results['baselines'])[:-1])}.",
            picture("skips-curves.png", "Validation losses: mean and range over seeds"),
            picture(GRID, "Ten validation pictures by both"),
            "Norms of the loss's gradient for each layer's kernel, on the same pictures, mean over seeds:",
            _gradients_table(networks),
            picture("skips-gradients.png", "Gradient norms by layer, during training"),
        ]
    )


def _scores_table(results: Results) -> str:
    header = ["", "loss", "accuracy", "of the way", "PSNR, dB", "of the way", "SSIM", "colourfulness"]
    rows = []
    for name, network in results["networks"].items():
        scores = [PictureScores(**values) for values in network["scores"]]
        shares = {
            score: ", ".join(
                f"{100 * np.mean([way[guess][score] for way in network['ways']]):.0f} %"
                for guess in network["ways"][0]
            )
            for score in ("accuracy", "psnr")
        }
        rows.append(
            [
                name,
                show([seed[-1]["val_loss"] for seed in network["seeds"]]),
                show([one.accuracy for one in scores], 1, percent=True),
                shares["accuracy"],
                show([one.psnr for one in scores], 2),
                shares["psnr"],
                show([one.ssim for one in scores]),
                show([one.colorfulness for one in scores], 1),
            ]
        )
    for name, values in results["baselines"].items():
        one = PictureScores(**values)
        share = {True: "100 %", False: ""}[name == PERFECT]
        rows.append(
            [name, "", f"{100 * one.accuracy:.1f} %", share, f"{one.psnr:.2f}", share, f"{one.ssim:.3f}",
             f"{one.colorfulness:.1f}"]
        )  # fmt: skip
    rows.append(["original pictures", *[""] * 6, f"{results['originals']:.1f}"])
    return table(header, rows)


def _gradients_table(networks: Mapping[str, Any]) -> str:
    """A row a network and moment: before the first step, after the first epoch, at the end."""
    rows = []
    for name, network in networks.items():
        seeds = network["seeds"]
        layers = list(seeds[0][0]["gradient_norms"])
        for place in dict.fromkeys((0, 1, len(seeds[0]) - 1)):
            values = [np.mean([seed[place]["gradient_norms"][layer] for seed in seeds]) for layer in layers]
            rows.append([f"{name}, epoch {seeds[0][place]['epoch']:.0f}", *(f"{v:.3f}" for v in values)])
    return table(["", *(layer.replace("layer", "layer ") for layer in layers)], rows)


def _band(seeds: Sequence[Sequence[dict[str, Any]]], name: str) -> Points:
    """Mean and range of a number after each epoch."""
    return [(same[0]["epoch"], *spread([entry[name] for entry in same])) for same in _by_epoch(seeds)]


def _norms(seeds: Sequence[Sequence[dict[str, Any]]], layer: str) -> Points:
    return [
        (same[0]["epoch"], np.mean([entry["gradient_norms"][layer] for entry in same]))
        for same in _by_epoch(seeds)
    ]


def _by_epoch(seeds: Sequence[Sequence[dict[str, Any]]]) -> list[tuple[dict[str, Any], ...]]:
    """The entries of all seeds after each epoch, without those before the first."""
    return [same for same in zip(*seeds, strict=True) if same[0]["epoch"] > 0]
