from pathlib import Path
from typing import Any

import pytest
from analysis.memory_report import render
from analysis.plots import growth
from sizes import read_size

BYTES = {
    "last layer": (10, 1e6),
    "head": (200, 2e6),
    "everything": (2000, 8e6),
    "last layer, cached": (10, 1e5),
}


def results(sides: tuple[int, ...]) -> dict[str, Any]:
    """Made up: what is kept grows with the pixels, what is temporary with the side."""
    rows = [
        {
            "network": "resnet50", "kind": kind, "side": side, "parameters": 1000, "optimizer": optimizer,
            "gradients": optimizer / 2, "kept": kept * (side / 10) ** 2, "temporary": kept * side,
            "whole": kept * side + 1000, "features": 5 * side**2 if "cached" in kind else 0,
        }
        for kind, (optimizer, kept) in BYTES.items()
        for side in sides
    ]  # fmt: skip
    return {"batch_size": 4, "device": "CPUs", "rows": rows}


def test_what_no_size_changes_has_one_row(tmp_path: Path) -> None:
    text = render(results((10, 20, 30)), tmp_path)
    assert "| parameters, any size | 1 kB | 1 kB | 1 kB | 1 kB |" in text
    assert "| optimizer state, any size | 10 B | 200 B | 2 kB | 10 B |" in text
    assert "| kept, 10² | 1 MB | 2 MB | 8 MB | 100 kB |" in text
    assert "| kept, 20² | 4 MB | 8 MB | 32 MB | 400 kB |" in text
    assert "| kept ∝ | side^2.00 | side^2.00 | side^2.00 | side^2.00 |" in text
    assert "| cached per image, 30² |  |  |  | 4.5 kB |" in text
    assert read_size(tmp_path / "memory.png")[0] > 400


def test_the_conclusion_follows_from_the_figures(tmp_path: Path) -> None:
    text = render(results((10, 20, 30)), tmp_path)
    assert (
        "From 10 to 20 pixels per side, 4 times as many pixels, training everything leaves parameters" in text
    )
    assert "optimizer state (2 kB)" in text
    assert (
        "increases what is kept 4-fold (8 MB to 32 MB) and temporary memory 2-fold (80 MB to 160 MB)" in text
    )
    assert "of training everything: *last layer* 0.5 %, 12 %, 13 %; *head* 10 %, 25 %, 25 %;" in text


def test_one_size_has_no_growth(tmp_path: Path) -> None:
    text = render(results((64,)), tmp_path)
    assert "∝" not in text
    assert "From" not in text
    assert "*head* 10 %" in text


def test_growth_of_a_power() -> None:
    assert growth([(side, 3 * side**1.5) for side in (10, 20, 50)]) == pytest.approx(1.5)
