"""All networks side by side: losses, scores, curves, and the same images colored by each of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from analysis.config import network_name
from analysis.plots import Points, draw_lines
from analysis.report import Results, image, means_of, show, spread, table
from analysis.runs import Run
from analysis.trainings import Trainer, Training
from jaxcolor.colorization.palette import paint
from jaxcolor.colorization.scores import ImageScores, colorfulness, score_baselines, score_images
from jaxcolor.drawing import draw_grid

SHOWN = 10  # images side by side
GRID = "networks-images.png"
CURVES = "networks-curves.png"
# The results of published runs on the horses, with 32 filters, after 25 epochs: the losses and accuracies.
Published = tuple[tuple[float, ...], tuple[float, ...]]
PUBLISHED: dict[str, Published] = {
    "cnn": ((1.578, 1.586), (0.412, 0.414)),
    "unet": ((1.3469,), (0.492,)),
    "conv-transpose": ((1.1445, 1.1565), (0.547, 0.552)),
    "strided-unet": ((1.0332, 1.0512, 1.0620, 1.0741), (0.593, 0.589, 0.582, 0.575)),
}

Rows = dict[str, UInt8[np.ndarray, "n height width 3"]]


def measure(
    trainer: Trainer, trainings: Mapping[str, Sequence[Training]], runs: Mapping[str, list[Run]], folder: Path
) -> Results:
    """Return losses and scores of all networks. Draw the predictions of the first seed.

    `trainings` are those of the networks with the settings of the assignment. `runs` are those of networks
    with settings of their own.
    """
    networks, rows = measure_trainings(trainer, trainings)
    images = trainer.truth["validation"].images[:SHOWN]
    for model, of_seeds in runs.items():
        networks[model] = {
            "seeds": [run.history for run in of_seeds],
            "scores": [run.scores._asdict() for run in of_seeds],
        }
        rows[network_name(model)] = of_seeds[0].predict(images)
    draw_grid(folder / GRID, "validation images, first seed", truth_rows(trainer) | rows)
    return {"networks": networks, **measure_baselines(trainer)}


def measure_trainings(
    trainer: Trainer, trainings: Mapping[str, Sequence[Training]]
) -> tuple[dict[str, Any], Rows]:
    """Return losses and scores of each network, and the images of a grid as colored by the first seed."""
    truth = trainer.truth["validation"]
    networks: dict[str, Any] = {}
    rows: Rows = {}
    for model, of_seeds in trainings.items():
        trained = trainer.train(of_seeds)
        scores = []
        for one in trained:
            state = trainer.state(model, one.variables)
            predicted = trainer.predict(state, trainer.data("validation")["inputs"])
            scores.append(score_images(predicted, truth.labels, truth.images, trainer.palette))
            rows.setdefault(network_name(model), paint(predicted[:SHOWN], trainer.palette))
        networks[model] = {
            "seeds": [one.by_epoch(of_seeds[0].epochs) for one in trained],
            "scores": [one._asdict() for one in scores],
        }
    return networks, rows


def measure_baselines(trainer: Trainer) -> Results:
    """Return the scores that need no network, and the colorfulness of the original images."""
    truth = trainer.truth["validation"]
    baselines = score_baselines(trainer.truth["train"], truth, trainer.palette)
    return {
        "baselines": {name: scores._asdict() for name, scores in baselines.items()},
        "originals": colorfulness(truth.images),
    }


def truth_rows(trainer: Trainer) -> Rows:
    """Return the first rows of a grid: the original images, and these in the colors of the palette."""
    truth = trainer.truth["validation"]
    return {
        "original": truth.images[:SHOWN],
        "truth (palette)": paint(truth.labels[:SHOWN], trainer.palette),
    }


def render(results: Results, folder: Path) -> str:
    """Return the section of the report, and write its plot."""
    networks = results["networks"]
    draw_lines(folder / CURVES, curves(networks), x="epoch", y="validation loss")
    seeds = len(next(iter(networks.values()))["seeds"])
    return "\n\n".join(
        [
            f"After the last epoch. {means_of(seeds)} Below the gray-level table, a network is worse than "
            "none at all.",
            scores_table(results, PUBLISHED),
            image(CURVES, "Validation losses: mean and range over seeds"),
            image(GRID, "Ten validation images by all networks"),
        ]
    )


def curves(networks: Mapping[str, Any]) -> dict[str, Points]:
    """Return the validation losses of each network after each epoch: mean and range over seeds."""
    return {
        network_name(model): [
            (same[0]["epoch"], *spread([entry["val_loss"] for entry in same]))
            for same in by_epoch(network["seeds"])
        ]
        for model, network in networks.items()
    }


def by_epoch(seeds: Sequence[Sequence[dict[str, Any]]]) -> list[tuple[dict[str, Any], ...]]:
    """Return the entries of all seeds after each epoch, without those before training."""
    return [same for same in zip(*seeds, strict=True) if same[0]["epoch"] > 0]


def scores_table(results: Results, published: Mapping[str, Published] | None = None) -> str:
    """Return a table with the networks and the baselines, the least accurate one first."""
    header = ["", "epochs", "loss", "accuracy", "PSNR, dB", "SSIM", "colorfulness"]
    if published:
        header[4:4] = ["published loss", "published accuracy"]
    rows = []
    for model, network in results["networks"].items():
        scores = [ImageScores(**values) for values in network["scores"]]
        last = [seed[-1] for seed in network["seeds"]]
        cells = [
            network_name(model),
            f"{last[0]['epoch']:.0f}",
            show([entry["val_loss"] for entry in last]),
            show([one.accuracy for one in scores], 1, percent=True),
            *(_published(*published.get(model, ())) if published else []),
            show([one.psnr for one in scores], 2),
            show([one.ssim for one in scores]),
            show([one.colorfulness for one in scores], 1),
        ]
        rows.append((float(np.mean([one.accuracy for one in scores])), cells))
    for name, values in results["baselines"].items():
        one = ImageScores(**values)
        cells = [name, "", "", f"{100 * one.accuracy:.1f} %", *([""] * 2 if published else [])]
        cells += [f"{one.psnr:.2f}", f"{one.ssim:.3f}", f"{one.colorfulness:.1f}"]
        rows.append((one.accuracy, cells))
    ordered = [cells for _, cells in sorted(rows, key=lambda row: row[0])]
    originals = ["original images", *[""] * (len(header) - 2), f"{results['originals']:.1f}"]
    return table(header, [*ordered, originals])


def _published(losses: Sequence[float] = (), accuracies: Sequence[float] = ()) -> list[str]:
    """Return the cells of published results, as ranges."""

    def cell(values: Sequence[float], digits: int, unit: str = "") -> str:
        return "–".join(f"{value:.{digits}f}" for value in dict.fromkeys((min(values), max(values)))) + unit

    if not losses:
        return ["", ""]
    return [cell(losses, 3), cell([100 * value for value in accuracies], 1, " %")]
