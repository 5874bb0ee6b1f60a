import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny_network
from analysis import runs as runs_module
from analysis.runs import Runs

from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.errors import UserError

PALETTE = np.asarray([[0.1, 0.1, 0.1], [0.5, 0.4, 0.3], [0.4, 0.5, 0.7]], np.float32)


@pytest.fixture(scope="module", autouse=True)
def tiny() -> Iterator[str]:
    """Name of a tiny network."""
    with tiny_network.installed() as name:
        yield name


@pytest.fixture
def settings(tiny: str, archive: Path, data_dir: Path) -> ColorizeConfig:
    return ColorizeConfig(
        model=tiny, filters=4, epochs=2, batch_size=16, archive=archive, data_dir=data_dir, plot_every=2
    )


def test_finished_runs_are_read_and_interrupted_ones_are_resumed(
    settings: ColorizeConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # A run that was stopped after its first epoch, and one that was stopped before that.
    runs = Runs(settings, PALETTE, tmp_path, seeds=2)
    stopped = Runs(dataclasses.replace(settings, epochs=1), PALETTE, tmp_path, seeds=1)
    stopped.train("slow", learning_rate=1e-4)
    capsys.readouterr()
    first, second = runs.train("slow", learning_rate=1e-4)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"slow-{seed}: val_loss {run.history[-1]['val_loss']:.4f}, {run.seconds:.1f} s"
        for seed, run in enumerate((first, second))
    ]
    assert [entry["epoch"] for entry in first.history] == [1, 2]
    assert first.history[-1]["val_loss"] != second.history[-1]["val_loss"]
    assert first.scores.accuracy == pytest.approx(first.history[-1]["val_accuracy"], abs=1e-4)
    assert set(runs.used) == {"slow-0", "slow-1"}
    assert runs.spent > 0

    monkeypatch.setattr(runs_module, "colorize", lambda config: pytest.fail("trained again"))
    assert Runs(settings, PALETTE, tmp_path, seeds=2).train("slow", learning_rate=1e-4) == [first, second]
    colored = first.predict(np.zeros((2, 8, 8, 3), np.uint8))
    assert colored.shape == (2, 8, 8, 3)
    colors = {tuple(color) for color in np.round(PALETTE * 256).astype(int).tolist()}
    assert {tuple(pixel) for pixel in colored.reshape(-1, 3).tolist()} <= colors


def test_a_damaged_run_is_named(settings: ColorizeConfig, tmp_path: Path) -> None:
    runs = Runs(dataclasses.replace(settings, epochs=1), PALETTE, tmp_path, seeds=1)
    (run,) = runs.train("own")
    (run.folder / "scores.json").write_text("{}")
    with pytest.raises(UserError, match=r"scores.json is damaged .*: delete it, and --resume"):
        runs.train("own")
