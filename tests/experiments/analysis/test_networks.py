from pathlib import Path

import numpy as np
import pytest
from analysis.networks import CURVES, GRID, PUBLISHED, measure, render, scores_table
from analysis.runs import Run
from analysis.trainings import Trainer, Training
from sizes import read_size

from jaxcolor.colorization.scores import ImageScores


class Finished(Run):
    """A run whose colors are all black."""

    def predict(self, images: np.ndarray) -> np.ndarray:
        return np.zeros_like(images)


@pytest.fixture
def runs() -> dict[str, list[Run]]:
    histories = [[{"epoch": 1, "val_loss": loss, "seconds": 2.0}] for loss in (0.5, 0.7)]
    scores = ImageScores(0.9, 30.0, 0.95, 20.0)
    return {"resunet": [Finished(Path(), history, scores) for history in histories]}


def test_trainings_and_runs_are_side_by_side(
    trainer: Trainer, runs: dict[str, list[Run]], tmp_path: Path
) -> None:
    trainings = {"cnn": [Training("cnn", batch_size=30, seed=seed, epochs=1, updates=1) for seed in (0, 1)]}
    results = measure(trainer, trainings, runs, tmp_path)
    trained = trainer.train(trainings["cnn"])
    network = results["networks"]["cnn"]
    assert [seed[-1]["val_loss"] for seed in network["seeds"]] == [
        one.after(epoch=1)["val_loss"] for one in trained
    ]
    # Accuracy is counted twice, by the evaluation step and from the predicted images.
    for scores, one in zip(network["scores"], trained, strict=True):
        assert scores["accuracy"] == pytest.approx(one.after(epoch=1)["val_accuracy"], abs=1e-4)
    assert results["baselines"]["perfect palette"]["accuracy"] == 1
    assert 0 < results["baselines"]["gray-level table"]["accuracy"] < 1

    text = render(results, tmp_path)
    assert "2 seeds each: mean (lowest–highest)." in text
    for name in (CURVES, GRID):
        assert f"({name})" in text
        assert read_size(tmp_path / name)[0] > 300
    rows = [line for line in text.splitlines() if "%" in line]
    assert (
        "| ResUNet | 1 | 0.600 (0.500–0.700) | 90.0 % (90.0–90.0) |  |  | 30.00 (30.00–30.00) |" in rows[-2]
    )
    accuracies = [float(row.split("|")[4].split()[0]) for row in rows]
    assert accuracies == sorted(accuracies)
    names = {row.split("|")[1].strip() for row in rows}
    assert names == {"CNN", "ResUNet", "majority color", "gray-level table", "perfect palette"}
    assert next(row for row in rows if "| CNN |" in row).count("| 1.578–1.586 | 41.2–41.4 % |") == 1


def test_published_figures_are_shown_where_they_are_asked_for() -> None:
    scores = ImageScores(0.5, 20, 0.9, 9)._asdict()
    network = {"seeds": [[{"epoch": 25, "val_loss": 1.0}]], "scores": [scores]}
    results = {"networks": {"unet": network}, "baselines": {}, "originals": 30.0}
    assert "| UNet | 25 | 1.000 | 50.0 % | 1.347 | 49.2 % | 20.00 |" in scores_table(results, PUBLISHED)
    assert "| UNet | 25 | 1.000 | 50.0 % | 20.00 |" in scores_table(results)
