from pathlib import Path
from typing import Any

import pytest
from analysis.config import AnalyzeConfig
from benchmarks.config import ColorizeBenchmark

from jaxcolor import cli, options
from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.errors import UserError
from jaxcolor.options import read_options
from jaxcolor.segmentation.config import SegmentConfig


def text_of_help(settings: type, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        read_options(settings, ["--help"], "program")
    return " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_options_are_grouped_and_named_by_what_they_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = text_of_help(SegmentConfig, capsys, monkeypatch)
    assert "--no-flip Do not mirror training images at random. --augment Vary" in text
    assert (
        "--resume Resume the run of this name after its latest checkpoint, with its settings. --over" in text
    )
    assert "--voc-dir PATH A folder" in text
    assert "--output-stride INT Size" in text
    assert "--epochs INT Number of passes over the training images. (default: 20)" in text
    network, training = text.index(" network options "), text.index(" training options ")
    assert network < text.index("--backbone STR") < training < text.index("--lr FLOAT, --learning-rate FLOAT")


def test_given_options_replace_defaults() -> None:
    config = read_options(ColorizeConfig, ["--lr", "0.5", "--predict", "a.png", "b.png", "--dilation", "2"])
    assert read_options(ColorizeConfig, ["--optimizer", "adamw", "--wd", "0.5"]).weight_decay == 0.5
    expected = ColorizeConfig(learning_rate=0.5, predict=(Path("a.png"), Path("b.png")), dilation=2)
    assert config == expected
    assert read_options(ColorizeConfig, ["--learning-rate", "0.1"], default=expected) == ColorizeConfig(
        learning_rate=0.1, predict=(Path("a.png"), Path("b.png")), dilation=2
    )
    assert read_options(SegmentConfig, ["--no-flip"]) == SegmentConfig(flip=False)


def test_a_flag_may_repeat_what_is_set() -> None:
    started = SegmentConfig(aux=True, train="all", flip=False)
    assert read_options(SegmentConfig, ["--aux", "--no-flip"], default=started) == started
    assert read_options(SegmentConfig, ["--flip"]) == SegmentConfig()
    assert read_options(SegmentConfig, ["--no-aux"], default=started).aux is False
    assert read_options(AnalyzeConfig, ["--changes", "2", "1"]).changes == ((2.0, 1.0),)


@pytest.mark.parametrize(
    ("mistyped", "meant"),
    [
        ("--lerning-rate", "--learning-rate"),
        ("--flters", "--filters"),
        ("--resum", "--resume"),
        ("--run-dir", "--runs-dir"),
    ],
)
def test_a_mistyped_option_suggests_close_names(
    mistyped: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        read_options(ColorizeConfig, [mistyped, "3"], "program")
    assert stopped.value.code == 2
    err = capsys.readouterr().err
    assert "Perhaps you meant:" in err
    assert meant in err


@pytest.mark.parametrize("settings", [ColorizeConfig, SegmentConfig, AnalyzeConfig, ColorizeBenchmark])
def test_paths_may_start_with_the_home_folder(
    settings: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    names = [
        name for name in ("runs_dir", "archive", "data_dir", "palette", "weights", "init_from", "json")
        if hasattr(settings, name)
    ]  # fmt: skip
    assert len(names) >= 3
    config: Any = read_options(settings, [f"--{name.replace('_', '-')}=~/{name}" for name in names])
    assert [getattr(config, name) for name in names] == [tmp_path / name for name in names]


def test_the_other_paths_may_start_with_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    config = read_options(SegmentConfig, ["--voc-dir=~/voc", "--predict", "~/a.png", "b.png"])
    assert config.voc_dir == tmp_path / "voc"
    assert config.predict == (tmp_path / "a.png", Path("b.png"))
    with pytest.raises(UserError, match="cannot expand ~no-such-user/runs: there is no such user"):
        ColorizeConfig(runs_dir=Path("~no-such-user/runs"))


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["--archive", ""], "--archive"),
        (["--epochs", "3", "--voc-dir="], "--voc-dir"),
        (["--predict", "a.png", ""], "--predict"),
        ([""], "an argument"),
    ],
)
def test_an_empty_argument_is_not_the_current_folder(arguments: list[str], option: str) -> None:
    with pytest.raises(UserError, match=f"^{option} is empty: give a value, or leave it out$"):
        read_options(SegmentConfig, arguments)


def test_the_advice_names_the_options_that_lower_the_memory() -> None:
    assert ColorizeConfig().memory_advice == "lower --batch-size or --filters"
    assert SegmentConfig().memory_advice == "lower --batch-size or --image-size"
    assert ColorizeConfig(predict=(Path("a.png"),)).memory_advice == "give a smaller image"


@pytest.mark.parametrize("command", ["convert", "inspect", "runs", "compare", "export"])
def test_help_that_nobody_reads_ends_without_a_word(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_pipe(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(options.tyro, "cli", break_pipe)
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 141
    assert capsys.readouterr() == ("", "")
