"""The script benchmark.py, run from the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "experiments" / "benchmark.py"


def run(*options: object, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(SCRIPT), "colorize", *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


def error(*options: object, **environment: str) -> str:
    done = run(*options, **environment)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_a_benchmark_of_a_tiny_network_has_all_results(archive: Path, data_dir: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    done = run(
        *("--model", "cnn", "--filters", 2, "--batch-size", 250, "--rounds", 5, "--certificate", "no"),
        *("--variants", "eager", "--archive", archive, "--data-dir", data_dir, "--profile"),
        *("--whole-run", 1, "--epochs", 1, "--json", tmp_path / "results.json"),
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    (result,) = results["speed"]
    assert (result["model"], result["batch_size"], result["side"]) == ("cnn", 250, 32)
    for phase in ("train", "eval", "predict"):
        ours, theirs = (
            result["contestants"][name][phase]["images_per_second"] for name in ("jaxcolor", "pytorch eager")
        )
        assert result[f"{phase}_ratio"] == pytest.approx(ours / theirs)
        assert f"{result[f'{phase}_ratio']:.2f} times as fast as pytorch eager" in done.stdout
    assert all(value > 1 for value in result["peak_mebibytes"].values())
    assert results["machine"]["versions"]["torch"]
    assert sum(results["profile"]["cnn"].values()) > 0
    (whole,) = results["whole_run"]
    assert whole["seconds"].keys() == {"jaxcolor", "pytorch eager"}
    assert whole["best"] == "pytorch eager"
    assert whole["last_lines"]["pytorch eager"].startswith("epoch  1/1")


def test_an_invalid_setting_is_one_line() -> None:
    assert error("--rounds", 3) == "error: --rounds must be at least 5, not 3"


def test_without_pytorch_the_error_says_how_to_install_it(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('not here')")
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    line = error("--certificate", "no", PYTHONPATH=paths)
    assert line == "error: PyTorch is not installed: pip install -e '.[reference]'"
