"""The network of docs/own-model.md, from the file as it stands there."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from PIL import Image

from jaxcolor.models import MODELS

PAGE = Path(__file__).parents[1] / "docs" / "own-model.md"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "residual_unet.py"
    path.write_text(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0])
    return path


def test_the_file_has_at_most_40_lines(script: Path) -> None:
    assert len(script.read_text().splitlines()) <= 40


@pytest.mark.slow
def test_it_trains_resumes_evaluates_predicts_and_is_analyzed(
    script: Path,
    archive: Path,
    data_dir: Path,
    run_script: Callable[..., tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(script.parent)

    def run(*options: object) -> str:
        with patch.dict(MODELS):
            out, err = run_script(script, *options)
        assert "warning: cannot draw" not in err
        return out

    def run_alone(*arguments: str) -> None:
        done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=os.environ)
        assert done.returncode == 0, done.stderr

    data = ("--archive", archive, "--data-dir", data_dir, "--colors", 6, "--batch-size", 16)
    network = ("colorize", "--model", "residual-unet")
    run(*network, *data, "--filters", 4, "--epochs", 1)
    assert "Resuming after epoch 1 of 2" in run(*network, "--resume", "--epochs", 2)
    folder = script.parent / "runs" / "residual-unet"
    assert (folder / "activations" / "image-0-epoch-002.png").exists()
    assert "final: val_loss=" in run(*network, "--evaluate")
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(image).save(script.parent / "photo.png")
    run_alone(script.name, *network, "--predict", "photo.png", "--no-keep-lightness")
    predicted = np.asarray(Image.open(folder / "predictions" / "photo.png"))

    program = (
        "import jaxcolor, residual_unet, numpy as np\n"
        "colored = jaxcolor.load('runs/residual-unet').predict('photo.png')\n"
        "np.save('colored.npy', np.asarray(colored))"
    )
    run_alone("-c", program)
    np.testing.assert_array_equal(np.load(script.parent / "colored.npy"), predicted)

    run("analyze", "--parts", "connections", "--model", "residual-unet", "--image-size", 32)
    report = (script.parent / "runs" / "analysis" / "report.md").read_text()
    table = report[report.index("### Residual-unet") :].split("###")[1]
    # The 1×1 convolution of the shortcut of the first block: one weight and one bias per filter.
    assert "| ResidualBlock_0/Conv2d_2 | 1×1 | 1 → 32 | 32×32 | 64 | 32,768 | 32,768 | 32,768 |" in table
    assert "| Conv2d_0 | 1×1 | 32 → 24 |" in table
