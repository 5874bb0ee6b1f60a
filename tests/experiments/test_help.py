"""What the scripts say of themselves, without waiting for heavy imports."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
from analysis.config import AnalyzeConfig
from benchmarks.config import ColorizeBenchmark, DeviceBenchmark, SegmentBenchmark
from page.config import DemoConfig

from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.photo.config import PhotoConfig, ShippedConfig
from jaxcolor.segmentation.config import SegmentConfig

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.mark.parametrize(
    ("command", "settings"),
    [
        (["colorize.py"], ColorizeConfig),
        (["colorize.py", "--model", "photo"], PhotoConfig),
        (["colorize.py", "--predict"], ShippedConfig),
        (["segment.py"], SegmentConfig),
        (["analyze.py"], AnalyzeConfig),
        (["demo.py"], DemoConfig),
        (["benchmark.py", "colorize"], ColorizeBenchmark),
        (["benchmark.py", "segment"], SegmentBenchmark),
        (["benchmark.py", "device"], DeviceBenchmark),
    ],
)
def test_help_names_every_setting_and_imports_nothing_heavy(command: list[str], settings: type) -> None:
    script, *rest = command
    done = subprocess.run(
        [sys.executable, "-X", "importtime", EXPERIMENTS / script, *rest, "--help"],
        capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": "80"},
    )  # fmt: skip
    for field in dataclasses.fields(settings):
        name = field.name.replace("_", "-")
        assert f"--{name}" in done.stdout or f"--no-{name}" in done.stdout
    usage, *lines = done.stdout.splitlines()
    assert usage.startswith("usage: ")  # tyro shortens it if the options alone have 80 characters
    assert max(map(len, lines)) <= 80
    boxes = [line.split()[1] for line in lines if " options " in line and "--" not in line]
    assert boxes == ["options", *settings.GROUPS]  # type: ignore[attr-defined]
    assert "None" not in done.stdout
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "jaxcolor" in imported
    assert not imported & {"jax", "flax", "matplotlib", "orbax", "tensorflow_datasets", "torch", "gradio"}


def test_help_needs_no_unicode() -> None:
    for command in (["colorize.py"], ["colorize.py", "--model", "photo"], ["segment.py"]):
        script, *rest = command
        done = subprocess.run(
            [sys.executable, EXPERIMENTS / script, *rest, "--help"], capture_output=True, check=True,
            env=os.environ | {"PYTHONIOENCODING": "ascii", "COLUMNS": "80"},
        )  # fmt: skip
        lines = done.stdout.decode("ascii").splitlines()
        assert max(map(len, lines)) <= 80
        assert done.stderr == b""


def test_the_benchmark_lists_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run(
        [sys.executable, EXPERIMENTS / "benchmark.py", "--help"], capture_output=True, text=True, check=True
    )
    assert [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")] == [
        "colorize", "segment", "device"
    ]  # fmt: skip
