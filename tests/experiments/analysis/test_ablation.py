from pathlib import Path
from typing import get_args

import pytest
from analysis.ablation import CHANGES, TITLES, measure, render
from analysis.config import Variant
from analysis.runs import Run

from jaxcolor.colorization.config import defaults_of
from jaxcolor.colorization.scores import ImageScores


def runs(*losses: float) -> list[Run]:
    return [
        Run(
            Path(),
            [{"epoch": epoch, "train_loss": 0.1, "val_loss": loss + 1 / epoch} for epoch in (1, 2)],
            ImageScores(0.7, 24.0, 0.9, 20.0),
        )
        for loss in losses
    ]


def test_each_variant_beside_the_settings_of_the_resunet(tmp_path: Path) -> None:
    results = measure({"own": runs(0.2, 0.3), "no-prior": runs(0.5, 0.5), "no-average": runs(0.2, 0.2)})
    text = render(results, tmp_path)
    assert "After 2 epochs. 2 seeds each" in text
    assert "| its own settings | 0.100 (0.100–0.100) | 0.750 (0.700–0.800) |  | 70.0 % (70.0–70.0) |" in text
    assert "| without the prior | 0.100 (0.100–0.100) | 1.000 (1.000–1.000) | +0.250 |" in text
    assert "| 0.700 (0.700–0.700) | −0.050 |" in text


@pytest.mark.parametrize("variant", get_args(Variant))
def test_each_variant_changes_the_settings(variant: Variant) -> None:
    own = vars(defaults_of("resunet"))
    changes = CHANGES[variant]
    assert TITLES[variant]
    assert bool(changes) == (variant != "own")
    assert all(own[name] != value for name, value in changes.items() if name != "schedule")
    assert own | changes != own or variant == "own"
