import dataclasses
from pathlib import Path

import pytest
from sizes import picture_size

from jaxcolor.analysis.batch_sizes import PUBLISHED, measure, render
from jaxcolor.analysis.trainings import Trainer, Training


def seeds(batch_size: int) -> list[Training]:
    first = Training("cnn", batch_size, seed=0, epochs=1, updates=2)
    return [first, dataclasses.replace(first, seed=1)]


def test_equal_epochs_and_equal_updates(trainer: Trainer, tmp_path: Path) -> None:
    """70 pictures make 3 updates of 30 pictures in an epoch, and 1 of 70; both are looked at after 2."""
    results = measure(trainer, {30: seeds(30), 70: seeds(70)})
    assert [row["updates_an_epoch"] for row in results["sizes"]] == [3, 1]
    for row in results["sizes"]:
        for one, at_epoch, at_update in zip(
            trainer.train(seeds(row["batch_size"])), row["val_loss"], row["val_loss_at_updates"], strict=True
        ):
            assert at_epoch == one.after(epoch=1)["val_loss"]
            assert at_update == one.after(update=2)["val_loss"] != at_epoch
    text = render(results, tmp_path)
    assert "published" not in text  # this was for the UNet after 25 epochs
    assert "after 1 epochs, and by" in text
    assert picture_size(tmp_path / "batch-sizes.png")[0] > 300


def made_up(losses: list[float], at_updates: list[float]) -> dict:
    sizes = [
        {
            "batch_size": size, "updates_an_epoch": 5000 // size, "val_loss": [loss], "val_accuracy": [0.5],
            "val_loss_at_updates": [late], "val_accuracy_at_updates": [0.4],
        }
        for size, loss, late in zip((25, 1000), losses, at_updates, strict=True)
    ]  # fmt: skip
    return {"model": "unet", "epochs": 25, "updates": 500, "sizes": sizes}


def test_beside_the_published_numbers(tmp_path: Path) -> None:
    text = render(made_up([1.3484, 1.6344], [1.5, 1.45]), tmp_path)
    assert "| 25 | 5,000 | 1.348 | 50.0 % | 1.328, 49.8 % | +0.020 | 1.500 | 40.0 % |" in text
    assert PUBLISHED[1000] == (1.6344, 0.407)
    assert "+0.000" in text
    assert "because they make fewer updates" in text


@pytest.mark.parametrize("at_updates", [[1.5, 1.6], [1.5, 1.9]])
def test_the_conclusion_follows_from_the_numbers(at_updates: list[float], tmp_path: Path) -> None:
    text = render(made_up([1.3, 1.6], at_updates), tmp_path)
    assert "do not explain" in text
