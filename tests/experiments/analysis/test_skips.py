import dataclasses
from pathlib import Path

import numpy as np
from analysis.skips import GRID, measure, render
from analysis.trainings import Trainer, Training
from sizes import read_size


def test_measured_and_rendered(trainer: Trainer, tmp_path: Path) -> None:
    def seeds(model: str) -> list[Training]:
        first = Training(model, batch_size=30, seed=0, epochs=1, updates=1)
        return [first, dataclasses.replace(first, seed=1)]

    pair = {"cnn": seeds("cnn"), "unet": seeds("unet")}
    pairs = [pair, dict(reversed(pair.items()))]
    results = measure(trainer, pairs, tmp_path)
    trained = trainer.train(seeds("unet"))
    network = results["networks"]["unet"]
    losses = [one.after(epoch=1)["val_loss"] for one in trained]
    assert [seed[-1]["val_loss"] for seed in network["seeds"]] == losses

    text = render(results, tmp_path)
    assert "After 1 epoch. 2 seeds each: mean (lowest–highest)." in text
    assert text.count("the seeds of a network differ by at most") == 2
    assert "The UNet's loss is" in text
    assert "The CNN's loss is" in text
    assert f"| UNet | 1 | {np.mean(losses):.3f} ({min(losses):.3f}–{max(losses):.3f}) |" in text
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
