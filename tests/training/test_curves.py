from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from jaxcolor.training.curves import draw_curves, epoch_ticks

LOSS = {"the loss": {"train_loss": "train", "val_loss": "validation"}}


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved."""
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    return drawn


def test_draws_a_panel_for_each_entry(tmp_path: Path) -> None:
    history = [{"epoch": e, "train_loss": 3 / e, "val_loss": 4 / e, "val_accuracy": e / 5} for e in (1, 2, 3)]
    panels = {
        "loss": {"train_loss": "train", "val_loss": "validation"},
        "accuracy": {"val_accuracy": "validation"},
    }
    draw_curves(tmp_path / "one.png", "title", history, {"loss": panels["loss"]})
    draw_curves(tmp_path / "two.png", "title", history, panels)
    one, two = (
        np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB")).astype(int) for name in ("one", "two")
    )
    assert two.shape[1] == 2 * one.shape[1]
    blue, red = ((two[..., 2] - two[..., 0] > 60), (two[..., 0] - two[..., 2] > 60))
    half = two.shape[1] // 2
    assert blue[:, :half].any()
    assert not blue[:, half:].any()
    assert red[:, :half].any()
    assert red[:, half:].any()


def test_axes_legends_and_the_best_epoch_are_labeled(tmp_path: Path, figures: list[Figure]) -> None:
    losses = [(4.0, 3.0), (2.5, 1.25), (2.0, 1.5)]
    history = [
        {"epoch": epoch, "train_loss": train, "val_loss": validation, "accuracy": epoch / 10}
        for epoch, (train, validation) in enumerate(losses, start=1)
    ]
    draw_curves(tmp_path / "c.png", "mine: unet", history, LOSS | {"share": {"accuracy": "validation"}})
    assert figures[0].get_suptitle() == "mine: unet"
    loss, accuracy = figures[0].axes
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("epoch", "the loss")
    assert loss.get_legend_handles_labels()[1] == [
        "train: 2.0000", "validation: 1.5000", "best epoch (2): 1.2500"
    ]  # fmt: skip
    assert accuracy.get_legend_handles_labels()[1] == [
        "validation: 0.3000", "best epoch (2): 0.2000"
    ]  # fmt: skip
    for axes, value in ((loss, 1.25), (accuracy, 0.2)):
        dot = axes.lines[-1]
        assert np.array_equal(dot.get_xydata(), [[2, value]])
        assert dot.get_marker() == "o"
        assert list(axes.get_xticks()) == [1, 2, 3]


def test_what_was_before_training_is_in_the_legend_alone(tmp_path: Path, figures: list[Figure]) -> None:
    history = [{"epoch": 0, "val_loss": 0.5}, {"epoch": 1, "train_loss": 2.0, "val_loss": 3.0}]
    draw_curves(tmp_path / "c.png", "title", history, LOSS)
    (axes,) = figures[0].axes
    labels = axes.get_legend_handles_labels()[1]
    assert labels[:2] == ["train: 2.0000", "validation: 3.0000, before training 0.5000"]
    # The best epoch is one of those that were trained, whose checkpoint exists.
    assert labels[2] == "best epoch (1): 3.0000"
    assert axes.get_ylim()[0] > 1
    # One epoch has no line, so its dots are large.
    assert all(line.get_markersize() >= 6 for line in axes.lines)
    assert list(axes.get_xticks()) == [1]


@pytest.mark.parametrize("last", [1, 2, 3, 7, 13, 20, 25, 26, 100, 137, 1000])
def test_ticks_are_whole_and_the_first_and_the_last_epoch_have_one(last: int) -> None:
    ticks = epoch_ticks(1, last)
    assert ticks == sorted(set(ticks))
    assert (ticks[0], ticks[-1]) == (1, last)
    assert all(isinstance(tick, int) for tick in ticks)
    assert len(ticks) <= 11
    assert min(np.diff(ticks), default=1) >= (last - 1) / 14
    if last >= 7:
        assert len(ticks) >= 5
