from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from jaxcolor.training.curves import draw_curves


def test_draws_a_panel_for_each_entry(tmp_path: Path) -> None:
    history = [{"epoch": e, "train_loss": 3 / e, "val_loss": 4 / e, "val_accuracy": e / 5} for e in (1, 2, 3)]
    panels = {
        "loss": {"train_loss": "train", "val_loss": "validation"},
        "accuracy": {"val_accuracy": "validation"},
    }
    draw_curves(tmp_path / "one.png", history, {"loss": panels["loss"]})
    draw_curves(tmp_path / "two.png", history, panels)
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


def test_axes_and_legends_are_labelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    history = [{"epoch": 1, "train_loss": 2.0, "val_loss": 3.0}]
    draw_curves(tmp_path / "c.png", history, {"the loss": {"train_loss": "train", "val_loss": "validation"}})
    (axes,) = drawn[0].axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "the loss")
    assert axes.get_legend_handles_labels()[1] == ["train: 2.0000", "validation: 3.0000"]


def test_what_was_before_training_is_in_the_legend_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    history = [{"epoch": 0, "val_loss": 90.0}, {"epoch": 1, "train_loss": 2.0, "val_loss": 3.0}]
    draw_curves(tmp_path / "c.png", history, {"loss": {"train_loss": "train", "val_loss": "validation"}})
    (axes,) = drawn[0].axes
    labels = axes.get_legend_handles_labels()[1]
    assert labels == ["train: 2.0000", "validation: 3.0000, at first 90.0000"]
    assert axes.get_ylim()[1] < 4
