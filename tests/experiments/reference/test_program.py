import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from reference.program import ProgramConfig, main, nearest_color, read_palette, split_batches

from jaxcolor.colorization import palette as jaxcolor_palette
from jaxcolor.errors import UserError


@pytest.fixture
def palette(tmp_path: Path) -> Path:
    path = tmp_path / "palette.npy"
    np.save(path, np.random.default_rng(0).uniform(size=(6, 3)))
    return path


def test_the_program_learns_and_prints_one_line_per_epoch(
    archive: Path, data_dir: Path, palette: Path, capsys: pytest.CaptureFixture
) -> None:
    main(
        ProgramConfig(
            filters=4, epochs=3, batch_size=16, learning_rate=1e-2, archive=archive, data_dir=data_dir,
            palette=palette,
        )
    )  # fmt: skip
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]
    losses = [float(line.split()[3]) for line in lines]
    assert losses[2] < losses[0] < 2.5


def test_labels_are_the_same_as_those_of_jaxcolor(palette: Path) -> None:
    colors = read_palette(ProgramConfig(palette=palette), np.zeros((0, 4, 4, 3)))
    images = np.random.default_rng(1).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    labels = nearest_color(torch.from_numpy(images), torch.from_numpy(colors))
    np.testing.assert_array_equal(labels, jaxcolor_palette.nearest_color(images, colors))


def test_the_last_batch_may_be_smaller() -> None:
    batches = list(split_batches(torch.zeros(7, 1), torch.arange(7), 3))
    assert [labels.tolist() for _, labels in batches] == [[0, 1, 2], [3, 4, 5], [6]]


def test_a_missing_palette_raises_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the palette .*none.npy: No such file"):
        read_palette(ProgramConfig(palette=tmp_path / "none.npy"), np.zeros((0, 4, 4, 3)))


def test_pytorch_is_not_slowed_by_importing_jax() -> None:
    program = "import sys, reference.program as p; sys.exit('jax' in sys.modules)"
    path = os.pathsep.join([str(Path(__file__).parents[3] / "experiments"), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path}
    assert subprocess.run([sys.executable, "-c", program], env=environment).returncode == 0
