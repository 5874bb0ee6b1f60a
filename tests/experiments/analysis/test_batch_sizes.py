import dataclasses
from pathlib import Path

import pytest
from analysis.batch_sizes import measure, render
from analysis.trainings import Trainer, Training
from sizes import read_size


def seeds(batch_size: int) -> list[Training]:
    first = Training("cnn", batch_size, seed=0, epochs=1, updates=2)
    return [first, dataclasses.replace(first, seed=1)]


def test_equal_epochs_and_equal_updates(trainer: Trainer, tmp_path: Path) -> None:
    """70 images make 3 updates of 30 images in an epoch, and 1 of 70; both are looked at after 2."""
    results = measure(trainer, {30: seeds(30), 70: seeds(70)})
    assert [row["updates_per_epoch"] for row in results["sizes"]] == [3, 1]
    for row in results["sizes"]:
        for one, at_epoch, at_update in zip(
            trainer.train(seeds(row["batch_size"])), row["val_loss"], row["val_loss_at_updates"], strict=True
        ):
            assert at_epoch == one.after(epoch=1)["val_loss"]
            assert at_update == one.after(update=2)["val_loss"] != at_epoch
    text = render(results, tmp_path)
    assert "published" not in text  # this was for the UNet after 25 epochs
    assert "the lowest loss after 1 epoch (" in text
    assert read_size(tmp_path / "batch-sizes.png")[0] > 300


def made_up(losses: list[float], at_updates: list[float], batch_sizes: tuple[int, ...] = (25, 1000)) -> dict:
    sizes = [
        {
            "batch_size": size, "updates_per_epoch": 5000 // size, "val_loss": [loss], "val_accuracy": [0.5],
            "val_loss_at_updates": [late], "val_accuracy_at_updates": [0.4],
        }
        for size, loss, late in zip(batch_sizes, losses, at_updates, strict=True)
    ]  # fmt: skip
    return {"model": "unet", "epochs": 25, "updates": 500, "sizes": sizes}


def test_beside_the_published_numbers(tmp_path: Path) -> None:
    text = render(made_up([1.3484, 1.6344], [1.5, 1.45]), tmp_path)
    assert "| 25 | 5,000 | 1.348 | 50.0 % | 1.328, 49.8 % | +0.020 | 1.500 | 40.0 % |" in text
    assert "| 1000 | 125 | 1.634 | 50.0 % | 1.634, 40.7 % | +0.000 |" in text


@pytest.mark.parametrize(
    ("at_updates", "conclusion"),
    [
        ([1.5, 1.6, 1.7], "(1.500): fewer updates alone do not explain"),
        ([1.7, 1.6, 1.5], "up to 1000 images, larger batches lose in equal epochs because they make fewer"),
        ([1.5, 1.4, 1.6], "up to 200 images, larger batches lose in equal epochs because they make fewer"),
    ],
)
def test_the_conclusion_follows_from_the_numbers(
    at_updates: list[float], conclusion: str, tmp_path: Path
) -> None:
    text = render(made_up([1.3, 1.4, 1.6], at_updates, (25, 200, 1000)), tmp_path)
    assert "Batches of 25 have the lowest loss after 25 epochs (1.300), batches of" in text
    assert conclusion in text
    assert ("beyond, they lose in equal updates as well" in text) == (at_updates[1] == 1.4)


def test_batch_sizes_that_differ_no_more_than_seeds_are_as_good(tmp_path: Path) -> None:
    results = made_up([1.3, 1.4, 1.6], [1.5, 1.4, 1.42], (25, 200, 1000))
    for row, losses in zip(results["sizes"], ([1.5, 1.52], [1.38, 1.43], [1.41, 1.44]), strict=True):
        row.update({"val_loss": row["val_loss"] * 2, "val_loss_at_updates": losses})
    text = render(results, tmp_path)
    assert (
        "batches of 200 after 500 updates (1.405), where seeds differ by more than what batches of 1000"
        in text
    )
    assert "up to 1000 images, larger batches lose in equal epochs because they make fewer" in text


def test_one_batch_size_leads_to_no_conclusion(tmp_path: Path) -> None:
    text = render(made_up([1.3], [1.5], (25,)), tmp_path)
    assert "A single seed." in text
    assert "lowest loss" not in text
