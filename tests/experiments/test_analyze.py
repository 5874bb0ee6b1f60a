"""The script as users start it."""

import dataclasses
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from analysis.config import QUICK
from analysis.main import TITLES
from analysis.main import analyze as run_analysis
from flax import linen as nn

from jaxcolor.colorization import data
from jaxcolor.data.photographs import load_sample
from jaxcolor.errors import UserError
from jaxcolor.layers import Conv2d
from jaxcolor.models import MODELS
from jaxcolor.models.cnn import Block, Images, Logits, Valid

SCRIPT = Path(__file__).parents[2] / "experiments" / "analyze.py"


def analyze(*options: object) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, str(SCRIPT), *map(str, options)], capture_output=True, text=True)


class Small(nn.Module):
    """The layers of the CNN that the analysis refers to by their names."""

    filters: int = 4
    colors: int = 24

    @nn.compact
    def __call__(self, x: Images, *, train: bool = False, valid: Valid | None = None) -> Logits:
        mode: Any = {"train": train, "valid": valid}
        x = Block(4, name="layer1")(x, **mode)
        x = Block(self.colors, name="layer5")(x, **mode)
        return Conv2d(self.colors, name="layer6")(x)


@pytest.mark.slow
def test_a_quick_analysis_and_going_on_with_it(
    tmp_path: Path, run_script: Callable[..., tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks and images do not matter here: each part has tests of its own with the real ones."""
    for name in ("cnn", "unet", "dunet", "conv-transpose", "strided-unet", "resunet"):
        monkeypatch.setitem(MODELS, name, Small)
    train, validation = load_sample()
    monkeypatch.setattr(data, "load_sample", lambda: (train[:120], validation[:40]))
    smaller = (
        *("--seeds", 1, "--batch-sizes", 50, 100, "--updates", 4, "--changes", 2, 0.25),
        *("--memory-networks", "unet", "--memory-sizes", 32),
    )
    run_script(SCRIPT, "--quick", *smaller, "--runs-dir", tmp_path)
    folder = tmp_path / "analysis"
    report = (folder / "report.md").read_text()
    for title in TITLES.values():
        assert f"\n## {title}\n" in report
    images = re.findall(r"!\[.+?\]\((.+?)\)", report)
    assert len(images) >= 6
    assert all((folder / name).is_file() for name in images)
    assert "nan" not in report
    # All trainings are there: nothing is trained again.
    finished = [*(folder / "trainings").iterdir(), *(folder / "runs").glob("*/scores.json")]
    assert len(finished) == 5 + 1 + 1 + 2  # networks, a change, a batch size, runs of the ResUNet
    times = [path.stat().st_mtime for path in finished]
    run_script(
        SCRIPT, "--runs-dir", tmp_path, "--resume", "--parts", "networks", "ablation", "skips", "input-change"
    )
    assert times == [path.stat().st_mtime for path in finished]
    # The parts that were not asked for again stay in the report.
    assert re.findall("^## .*", (folder / "report.md").read_text(), re.MULTILINE) == re.findall(
        "^## .*", report, re.MULTILINE
    )

    with pytest.raises(UserError, match="exists: resume it with --resume"):
        run_analysis(dataclasses.replace(QUICK, runs_dir=tmp_path))
    assert (folder / "report.md").exists()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--seeds", 0], "error: --seeds must be at least 1, not 0"),
        (["--resume", "--overwrite"], "error: --resume and --overwrite exclude each other: choose one"),
        (["--image-size", 33], "error: --image-size must be sizes that divide by 8, not [33]"),
    ],
)
def test_bad_options_are_one_line(options: list, line: str, tmp_path: Path) -> None:
    done = analyze(*options, "--runs-dir", tmp_path / "runs")
    assert (done.returncode, done.stderr.strip()) == (1, line)
    assert not (tmp_path / "runs").exists()
