"""What the scripts say of themselves, without waiting for heavy imports."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from analysis.config import AnalyzeConfig
from benchmarks.config import ColorizeBenchmark, SegmentBenchmark

from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.segmentation.config import SegmentConfig

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.mark.parametrize(
    ("command", "settings"),
    [
        (["colorize.py"], ColorizeConfig),
        (["segment.py"], SegmentConfig),
        (["analyze.py"], AnalyzeConfig),
        (["benchmark.py", "colorize"], ColorizeBenchmark),
        (["benchmark.py", "segment"], SegmentBenchmark),
    ],
)
def test_help_names_every_setting_and_imports_nothing_heavy(command: list[str], settings: type) -> None:
    script, *rest = command
    done = subprocess.run(
        [sys.executable, "-X", "importtime", EXPERIMENTS / script, *rest, "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for field in dataclasses.fields(settings):
        name = field.name.replace("_", "-")
        assert f"--{name}" in done.stdout or f"--no-{name}" in done.stdout
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "jaxcolor" in imported
    assert not imported & {"jax", "flax", "matplotlib", "orbax", "tensorflow_datasets", "torch"}
