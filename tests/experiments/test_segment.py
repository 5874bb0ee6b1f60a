"""The script as users start it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from voc_layout import write_voc

SCRIPT = Path(__file__).parents[2] / "experiments" / "segment.py"


def run(*options: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(SCRIPT), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ)


@pytest.mark.slow
def test_train_resume_evaluate_and_predict(
    tmp_path: Path, run_script: Callable[..., tuple[str, str]]
) -> None:
    data = ("--voc-dir", write_voc(tmp_path / "voc"), "--classes", 3, "--image-size", 48)
    where = ("--runs-dir", tmp_path / "runs", "--name", "mine")
    done = run(*data, *where, "--epochs", 1, "--schedule", "constant")
    assert done.returncode == 0, done.stderr
    assert "The frozen weights are unchanged." in done.stdout
    out, _ = run_script(SCRIPT, *where, "--resume", "--epochs", 2)
    assert "Resuming after epoch 1 of 2" in out
    *_, scores, time = out.splitlines()
    assert time.startswith("time: ")
    out, _ = run_script(SCRIPT, *where, "--evaluate", "--checkpoint", "latest")
    assert out.splitlines()[-1] == scores
    image = tmp_path / "voc/VOCdevkit/VOC2012/JPEGImages/x.jpg"
    run_script(SCRIPT, *where, "--predict", image)
    assert (tmp_path / "runs/mine/predictions/x-mask.png").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--voc-dir", "missing", "--classes", 3), "missing: it does not exist"),
        (("--epochs", 0), "--epochs must be at least 1, not 0"),
        (("--predict", "x.jpg"), "there is no run in"),
    ],
)
def test_bad_input_is_one_line(options: tuple, message: str, tmp_path: Path) -> None:
    done = run(*options, "--runs-dir", tmp_path / "runs")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "runs").exists()
