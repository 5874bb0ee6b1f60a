import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxcolor import cli
from jaxcolor.cli import run_script
from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.errors import UserError


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("lower --batch-size"), "error: lower --batch-size"),
        (MemoryError(), "error: too little memory: lower the sizes"),
        (
            OSError(28, "No space left on device", "runs/a"),
            "error: cannot read or write runs/a: No space left on device",
        ),
    ],
)
def test_errors_are_one_line(error: Exception, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as stopped:
        run_script(main)
    assert stopped.value.code == 1
    assert capsys.readouterr().err == f"{line}\n"


def test_bugs_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_script(lambda: print(1 // 0))


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_that_the_garbage_collector_swallows_still_stops_the_run() -> None:
    script = """
import gc, signal, time
from jaxcolor import cli
from jaxcolor.cli import run_script

def interrupted(phase, info):
    gc.callbacks.remove(interrupted)
    signal.raise_signal(signal.SIGINT)

def main():
    gc.callbacks.append(interrupted)
    gc.collect()
    time.sleep(100)

run_script(main)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 130
    assert done.stderr.strip() == f"interrupted: {cli.RESUME_ADVICE}"


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_that_a_library_turns_into_its_own_error_still_is_one() -> None:
    script = """
import signal
from jaxcolor.cli import run_script
from jaxcolor.errors import UserError

def main():
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise UserError("cannot write a checkpoint") from None

run_script(main)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 130
    assert done.stderr.strip() == f"interrupted: {cli.RESUME_ADVICE}"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands_within_80_columns(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(arguments)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ")] == [
        "colorize", "segment", "convert", "inspect", "runs", "compare", "export", "demo", "analyze",
        "benchmark",
    ]  # fmt: skip
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(("command", "option"), [("inspect", "--sheet"), ("convert", "--image-dir")])
def test_the_help_fits_80_columns(command: str, option: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jaxcolor", command, "--help"],
        capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": "80"},
    )  # fmt: skip
    assert option in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    from jaxcolor import __version__

    cli.main(["--version"])
    assert capsys.readouterr().out == f"jaxcolor {__version__}\n"


def test_an_unknown_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["colour"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "error: there is no command 'colour': did you mean colorize?\n"
    with pytest.raises(SystemExit):
        cli.main(["paint"])
    assert capsys.readouterr().err.startswith("error: there is no command 'paint': choose from colorize, ")


def test_commands_receive_their_options(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("colorize", "segment"):
        with pytest.raises(SystemExit) as stopped:
            cli.main([command, "--help"])
        assert stopped.value.code == 0
        assert f"usage: jaxcolor {command} " in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        cli.main(["colorize", "--epochs", "0"])
    assert stopped.value.code == 1
    assert capsys.readouterr().err == "error: --epochs must be at least 1, not 0\n"


@pytest.mark.parametrize(
    ("command", "usage", "absent"),
    [
        ("runs", "usage: jaxcolor runs [-h] [FOLDER] ", "] FOLDER"),
        ("compare", "usage: jaxcolor compare [-h] RUN [RUN ...] ", "(default: )"),
    ],
)
def test_help_says_which_arguments_are_required(
    command: str, usage: str, absent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    text = capsys.readouterr().out
    assert text.startswith(usage)
    assert absent not in text


def test_studies_need_a_clone_of_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "__file__", str(tmp_path / "site-packages" / "jaxcolor" / "cli.py"))
    with pytest.raises(SystemExit):
        cli.main(["analyze", "--help"])
    assert capsys.readouterr().err.startswith("error: jaxcolor analyze needs a clone of the repository")


def test_studies_run_in_a_clone() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jaxcolor", "analyze", "--help"], capture_output=True, text=True, check=True
    )
    assert "--parts" in done.stdout


def test_importing_jaxcolor_imports_no_jax() -> None:
    program = "import sys, jaxcolor; print(sorted({'jax', 'flax', 'numpy', 'tyro'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_package_exports_its_names() -> None:
    import jaxcolor

    for name in jaxcolor.__all__:
        assert getattr(jaxcolor, name) is not None
    assert dir(jaxcolor) == sorted(jaxcolor.__all__)
    with pytest.raises(AttributeError, match="module 'jaxcolor' has no attribute 'colour'"):
        jaxcolor.colour  # noqa: B018


def test_predict_needs_an_image(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--predict needs at least one image"):
        cli.parse(ColorizeConfig, ["--runs-dir", str(tmp_path), "--predict"])


def test_a_prediction_that_is_interrupted_needs_no_advice_on_resuming(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(status: int) -> None:
        raise SystemExit(status)

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "_exit", stop)
    monkeypatch.setattr(sys, "argv", ["colorize.py", "--predict", "a.png"])
    with pytest.raises(SystemExit, match="130"):
        cli.run_script(interrupted)
    assert capsys.readouterr().err == "\ninterrupted: the images that are written are complete\n"
