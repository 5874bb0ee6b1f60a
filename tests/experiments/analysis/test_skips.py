import dataclasses
from pathlib import Path

import numpy as np
import pytest
from analysis.skips import GRID, measure, render
from analysis.trainings import Trainer, Training
from sizes import read_size


def test_measured_and_rendered(trainer: Trainer, tmp_path: Path) -> None:
    def seeds(model: str) -> list[Training]:
        first = Training(model, batch_size=30, seed=0, epochs=1, updates=1)
        return [first, dataclasses.replace(first, seed=1)]

    pairs = [
        {"CNN": seeds("cnn"), "UNet": seeds("unet")},
        {"CNN again": seeds("cnn"), "UNet again": seeds("unet")},
    ]
    results = measure(trainer, pairs, tmp_path)
    trained = trainer.train(seeds("unet"))
    network = results["networks"]["UNet"]
    losses = [one.after(epoch=1)["val_loss"] for one in trained]
    assert [seed[-1]["val_loss"] for seed in network["seeds"]] == losses
    # Accuracy is counted twice, by the evaluation step and from the predicted images.
    for scores, one in zip(network["scores"], trained, strict=True):
        assert scores["accuracy"] == pytest.approx(one.after(epoch=1)["val_accuracy"], abs=1e-4)
    assert results["baselines"]["perfect palette"]["accuracy"] == 1
    assert 0 < results["baselines"]["gray-level table"]["accuracy"] < 1

    text = render(results, tmp_path)
    assert "After 1 epoch. 2 seeds each: mean (lowest–highest)." in text
    assert text.count("the seeds of a network differ by at most") == 2
    assert "The UNet's loss is" in text
    assert "The UNet again's loss is" in text
    accuracies = [
        float(line.split("|")[3].split()[0]) for line in text.splitlines() if " % " in line and "|" in line
    ]
    assert accuracies == sorted(accuracies)
    assert len(accuracies) == 7
    assert "| gray-level table |" in text
    assert f"| UNet | {np.mean(losses):.3f} ({min(losses):.3f}–{max(losses):.3f}) |" in text
    norms = [one.history[0]["gradient_norms"]["layer1"] for one in trained]
    assert f"| UNet, epoch 0 | {np.mean(norms):.3f} |" in text
    for name in ("skips-curves.png", "skips-gradients.png", GRID):
        assert f"({name})" in text
        assert read_size(tmp_path / name)[0] > 300

    for network in results["networks"].values():
        network.update({name: network[name][:1] for name in ("seeds", "scores")})
    text = render(results, tmp_path)
    assert "After 1 epoch. A single seed." in text
    assert "one seed does not show how much of that is chance" in text
