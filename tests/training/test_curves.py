from pathlib import Path

import numpy as np
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
