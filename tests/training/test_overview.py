from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from jaxcolor import cli
from jaxcolor.errors import UserError
from jaxcolor.training.overview import RunsConfig, differing_settings, find_runs, list_runs, show
from jaxcolor.training.run_folder import RunFolder


def write_run(folder: Path, name: str, losses: list[float], task: str = "colorize", **settings: Any) -> None:
    run = RunFolder(folder / name)
    run.create({"task": task, "settings": {"name": name, "epochs": 3, "seed": 0, "model": "unet"} | settings})
    score = {"colorize": "val_accuracy", "segment": "mean_iou", "photo": "psnr"}[task]
    run.log({"epoch": 0, "val_loss": 0.01, score: 0.0, "seconds": 1.0})
    for epoch, loss in enumerate(losses, 1):
        run.log({"epoch": epoch, "train_loss": loss, "val_loss": loss, score: 1 - loss, "seconds": 30.0})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_run(tmp_path, "first", [0.9, 0.5, 0.6])
    write_run(tmp_path, "second", [0.8, 0.4], model="cnn", palette="/a/very/long/path/to/a/palette.npy")
    write_run(tmp_path, "street", [0.7], task="segment", epochs=1)
    write_run(tmp_path, "new", [])
    (tmp_path / "notes").mkdir()
    return tmp_path


def test_a_table_per_program_with_the_settings_that_differ(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    list_runs(RunsConfig(folder))
    assert (
        capsys.readouterr().out
        == """\
colorize  epochs  best    loss  last loss  accuracy  last accuracy     time  model                   palette
second       2/3     2  0.4000     0.4000    60.0 %         60.0 %  1.0 min    cnn  …g/path/to/a/palette.npy
first        3/3     2  0.5000     0.6000    50.0 %         40.0 %  1.5 min   unet                         —

segment  epochs  best    loss  last loss  mean iou  last mean iou     time
street      1/1     1  0.7000     0.7000    30.0 %         30.0 %  0.5 min
new: no epoch is finished
"""
    )


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("run", ["first", "second"]),
        ("loss", ["second", "first"]),
        ("score", ["second", "first"]),
        ("time", ["second", "first"]),
        ("model", ["second", "first"]),
    ],
)
def test_runs_are_sorted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sort: str, names: list[str]
) -> None:
    write_run(tmp_path, "first", [0.9, 0.5, 0.6])
    write_run(tmp_path, "second", [0.8, 0.4], model="cnn")
    list_runs(RunsConfig(tmp_path, sort))
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == names


def test_a_column_need_not_be_in_every_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    list_runs(RunsConfig(folder, "model"))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line][:5] == [
        "colorize", "second", "first", "segment", "street"
    ]  # fmt: skip


def test_an_unknown_column_is_refused_with_those_there_are(folder: Path) -> None:
    with pytest.raises(UserError, match="there is no column 'speed': sort by run, loss, score, time, model"):
        list_runs(RunsConfig(folder, "speed"))


def test_a_damaged_run_does_not_hide_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "second" / "config.json").write_text("{")
    list_runs(RunsConfig(folder))
    out = capsys.readouterr().out
    assert "first  " in out
    assert "second: " in out
    assert "config.json is damaged" in out


def test_a_folder_without_runs_is_an_error(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "missing"):
        with pytest.raises(UserError, match="there are no runs in"):
            list_runs(RunsConfig(place))


def test_paths_and_names_are_no_difference(folder: Path) -> None:
    runs, others = find_runs(folder)
    assert differing_settings([run for run in runs if run.task == "colorize"]) == ["model", "palette"]
    assert list(others) == ["new"]


def test_settings_as_cells() -> None:
    assert show(None) == "—"
    assert show([96, 128]) == "96 128"
    assert show("x" * 30) == "…" + "x" * 23


def test_the_command_draws_the_curves_of_all_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["runs", str(folder), "--plot", str(folder / "curves.png")])
    assert "second       2/3" in capsys.readouterr().out
    assert Image.open(folder / "curves.png").width > 500
