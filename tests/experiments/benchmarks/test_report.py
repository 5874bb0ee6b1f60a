from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("torch")

from benchmarks import report
from benchmarks.certificate import Difference


def result(batch_size: int = 100) -> dict[str, Any]:
    figures = {
        "seconds_per_batch": 0.1, "low": 0.09, "high": 0.11, "images_per_second": 1000.0, "gflops": 50.0
    }  # fmt: skip
    program = {"compile_seconds": 3.21, "train": figures, "eval": figures, "predict": figures}
    ranges = {f"{phase}_ratio_range": [1.2, 1.4] for phase in ("train", "eval", "predict")}
    ratios = {f"{phase}_ratio": 1.3 for phase in ("train", "eval", "predict")}
    return {
        "model": "unet",
        "filters": 32,
        "batch_size": batch_size,
        "side": 32,
        "precision": "float32",
        "contestants": {"jaxcolor": program, "pytorch eager": program},
        "failed": {"pytorch compile": "RuntimeError: no compiler"},
        "best": dict.fromkeys(("train", "eval", "predict"), "pytorch eager"),
        "peak_mebibytes": {"jaxcolor": 100.0},
        **ratios,
        **ranges,
    }


def test_columns_are_aligned() -> None:
    assert report.table(["", "n"], [["a", "1"], ["bcd", "100"]]).splitlines() == [
        "       n",
        "---  ---",
        "a      1",
        "bcd  100",
    ]


def test_the_speed_table_has_programs_failures_and_ratios() -> None:
    lines = report.speed_text(result()).splitlines()
    assert lines[0] == "unet, 32 filters, batch 100, 32×32 pixels, float32"
    assert lines[4].split() == ["jaxcolor", "3.2", *["1,000", "±10%"] * 3, "50.0", "100"]
    assert lines[5].endswith("–")  # not measured
    assert lines[6].endswith("failed: RuntimeError: no compiler")
    assert lines[8] == "training: 1.30 times as fast as pytorch eager (1.20–1.40 in single rounds)"


def test_sizes_have_figures_per_pixel() -> None:
    row = report.sizes_text([result()]).splitlines()[2]
    # 0.1 s and 100 MiB for 100·32² pixels
    assert row.split() == ["100", "×", "32²", "100.0", "977", "100", "1,024", "100.0", "977", "–", "–"]


def test_the_certificate_marks_quantities_that_are_too_far() -> None:
    found = {
        "cnn": [Difference("loss, training", 1e-7, 2e-7, 3e-7)],
        "unet": [Difference("loss, training", 1e-3, 1e-8, 1e-8)],
    }
    row = report.certificate_text(found, 10).splitlines()[-1]
    assert row.split()[2:] == ["1.0e-07", "1.0e-03", "2.0e-07", "3.0e-07", "1e-06", "TOO", "FAR"]


def test_whole_runs_and_profiles_are_tables() -> None:
    runs = {
        "seconds": {"jaxcolor": [9.0, 8.0], "pytorch eager": [10.0, 10.5]}, "ratio": 1.21,
        "last_lines": {"pytorch eager": "x"}, "best": "pytorch eager", "model": "cnn", "epochs": 25,
    }  # fmt: skip
    text = report.whole_runs_text(runs)
    assert text.splitlines()[2].split() == ["jaxcolor", "9.0", "8.0"]
    assert "1.21 times as fast as pytorch eager" in text
    assert text.endswith("pytorch eager: x")
    table = report.profile_text({"loss": 3.0, "rest": 1.0})
    assert table.splitlines()[2].split() == ["loss", "3.00", "75.0%"]


def test_the_sweep_is_plotted(tmp_path: Path) -> None:
    path = tmp_path / "sweep.png"
    report.draw_sweep(path, [result(size) for size in (25, 50)])
    with Image.open(path) as image:
        assert image.size[0] > 1000
        assert len(image.convert("RGB").getcolors(2**24) or []) > 10
