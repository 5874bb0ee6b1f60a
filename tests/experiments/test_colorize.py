"""The script as users start it."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tiny_network

from jaxcolor.data.cifar10 import load_cifar10

SCRIPT = Path(__file__).parents[2] / "experiments" / "colorize.py"


def command(*options: object) -> list[str]:
    return [sys.executable, str(SCRIPT), *map(str, options)]


def tiny(*options: object) -> list[str]:
    """Return the command with a tiny network as one more choice: each process compiles its programs anew."""
    interpreter, *rest = command(*options)
    return [interpreter, tiny_network.__file__, *rest]


TINY = ("--model", tiny_network.NAME, "--filters", 4)


@pytest.fixture
def options(archive: Path, data_dir: Path, tmp_path: Path) -> list[object]:
    return [
        "--colors", 6, "--batch-size", 16, "--archive", archive, "--data-dir", data_dir,
        "--runs-dir", tmp_path / "runs",
    ]  # fmt: skip


def numbers(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def wait_for(condition: Any, process: subprocess.Popen, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the run ended before it could be stopped"
        assert time.monotonic() < end, "the run did not get so far"
        time.sleep(0.01)


@pytest.mark.slow
def test_a_run_killed_twice_ends_with_the_numbers_of_a_whole_one(options: list, tmp_path: Path) -> None:
    run = [*options, *TINY, "--epochs", 12]
    subprocess.run(tiny(*run, "--name", "whole"), check=True, capture_output=True)
    whole, killed = tmp_path / "runs" / "whole", tmp_path / "runs" / "killed"

    process = subprocess.Popen(tiny(*run, "--name", "killed"), stdout=subprocess.DEVNULL)
    wait_for(lambda: killed.exists(), process)  # before the first epoch is done
    process.kill()
    process.wait()
    process = subprocess.Popen(tiny(*run, "--name", "killed", "--resume"), stdout=subprocess.DEVNULL)
    metrics = killed / "metrics.jsonl"
    wait_for(lambda: metrics.exists() and len(metrics.read_text().splitlines()) >= 3, process)
    process.kill()
    assert process.wait() == -signal.SIGKILL

    # The settings come from the run's folder.
    resume = ["--runs-dir", tmp_path / "runs", "--name", "killed", "--resume"]
    done = subprocess.run(tiny(*resume), check=True, capture_output=True, text=True)
    assert "Resuming after epoch" in done.stdout
    assert numbers(killed) == numbers(whole)
    samples = [sorted(p.name for p in (run / "samples").iterdir()) for run in (whole, killed)]
    assert samples[0] == samples[1]


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_is_one_line(options: list, tmp_path: Path) -> None:
    process = subprocess.Popen(
        tiny(*options, *TINY, "--epochs", 1000), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: (tmp_path / "runs" / "tiny" / "checkpoints").exists(), process)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted: with --name and --resume a run resumes" in err
    assert "Traceback" not in err


def failing(*arguments: object) -> str:
    """The last line of a run that fails with status 1 and no traceback."""
    return last_error(command(*arguments))


def last_error(command: Sequence[str], **kwargs: Any) -> str:
    process = subprocess.run(command, capture_output=True, text=True, **kwargs)
    assert process.returncode == 1, process.stderr
    assert "Traceback" not in process.stderr
    return process.stderr.splitlines()[-1]


def test_a_missing_archive_is_one_line(tmp_path: Path) -> None:
    line = failing("--archive", tmp_path / "none.tar.gz", "--runs-dir", tmp_path / "runs")
    assert line == f"error: cannot read {tmp_path / 'none.tar.gz'}: No such file or directory"


def test_bad_settings_are_one_line() -> None:
    assert failing("--batch-size", 0) == "error: --batch-size must be at least 1, not 0"
    assert failing("--learning-rate", "nan").startswith("error: --learning-rate must be above 0")


def test_a_read_only_place_is_one_line(options: list) -> None:
    line = failing(*options, "--runs-dir", "/proc/runs")
    assert line.startswith("error: cannot create the run folder /proc/runs/unet: ")


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_the_run_goes_on_afterwards(
    options: list, archive: Path, data_dir: Path, tmp_path: Path
) -> None:
    load_cifar10("horse", archive, data_dir)  # the prepared data are larger than the disk
    run = [*options, *TINY, "--filters", 200, "--epochs", 2]  # a checkpoint is larger than the limit
    env = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "none")}
    no_file_above_8_kib = ["bash", "-c", 'ulimit -f 8; exec "$@"', "bash"]
    process = subprocess.run([*no_file_above_8_kib, *tiny(*run)], env=env, capture_output=True, text=True)
    folder = tmp_path / "runs" / "tiny"
    errors = [line for line in process.stderr.splitlines() if not line.startswith("warning: ")]
    assert errors == [f"error: cannot write a checkpoint into {folder / 'checkpoints'}: File too large"]
    assert process.returncode == 1
    assert "Traceback" in (folder / "log.txt").read_text()
    done = subprocess.run(tiny(*run, "--resume"), check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-2].startswith("final: val_loss=")


@pytest.mark.parametrize("option", ["--category", "--kernel-size", "--no-such-option"])
def test_unknown_choices_are_named(option: str) -> None:
    process = subprocess.run(command(option, "sparrow"), capture_output=True, text=True)
    assert process.returncode == 2
    assert option in process.stderr + process.stdout
    assert "Traceback" not in process.stderr


def test_an_unknown_network_is_one_line(tmp_path: Path) -> None:
    line = failing("--model", "unett", "--runs-dir", tmp_path / "runs")
    assert line.startswith("error: there is no network 'unett': choose from cnn, unet, dunet")
    assert not (tmp_path / "runs").exists()


def test_the_script_runs_elsewhere(tmp_path: Path) -> None:
    """Every path that it needs comes with the package."""
    process = subprocess.run(command("--help"), cwd=tmp_path, env={"PATH": os.environ["PATH"]})
    assert process.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("home", ["/proc/nobody", "file"])
def test_a_home_that_cannot_be_written_is_a_warning(options: list, tmp_path: Path, home: str) -> None:
    (tmp_path / "file").touch()
    place = str(tmp_path / home)  # /proc/nobody stays as it is
    folders = {"HOME": place, "XDG_CACHE_HOME": f"{place}/cache", "XDG_CONFIG_HOME": f"{place}/config"}
    env = {name: v for name, v in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"} | folders
    process = subprocess.run(
        tiny(*options, *TINY, "--epochs", 1), env=env, capture_output=True, text=True, check=True
    )
    lines = process.stderr.splitlines()
    assert all(line.startswith("warning: ") for line in lines)
    assert [line.split()[1] for line in lines[:2]] == ["Matplotlib", "cannot"]
    assert lines[1].startswith(f"warning: cannot write into {place}/cache/jaxcolor/compiled (")
    assert len(lines) == 3  # and that the archive is not the official one
    assert process.stdout.splitlines()[-2].startswith("final: val_loss=")


def test_data_that_cannot_be_written_need_another_folder(archive: Path, tmp_path: Path) -> None:
    env = os.environ | {"HOME": "/proc/nobody"}
    line = last_error(command("--archive", archive, "--runs-dir", tmp_path / "runs"), env=env)
    assert line.startswith("error: cannot write prepared data to /proc/nobody/tensorflow_datasets/")
    assert line.endswith("; choose another folder with --data-dir")


def test_a_platform_that_is_not_here_stops_before_the_data(options: list, tmp_path: Path) -> None:
    env = os.environ | {"JAX_PLATFORMS": "nonsense"}
    process = subprocess.run(command(*options), env=env, capture_output=True, text=True)
    assert (process.returncode, process.stdout) == (1, "")
    assert process.stderr.startswith("error: JAX_PLATFORMS is nonsense, but JAX finds only ")
    assert len(process.stderr.splitlines()) == 1


@pytest.mark.slow
def test_too_little_memory_for_a_network_is_one_line(options: list) -> None:
    no_more_than_12_gib = ["bash", "-c", 'ulimit -v 12582912; exec "$@"', "bash"]
    line = last_error([*no_more_than_12_gib, *command(*options, "--filters", 20000)])
    assert line == "error: too little memory: lower --batch-size or --filters"


@pytest.mark.slow
def test_a_run_whose_output_nobody_reads_ends_with_one_line(options: list, tmp_path: Path) -> None:
    run = " ".join(map(shlex.quote, tiny(*options, *TINY, "--epochs", 30)))
    process = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {run} | head -1"], capture_output=True, text=True
    )
    assert process.returncode == 141
    assert process.stdout.startswith("tiny: ")
    assert process.stderr.splitlines()[-1].startswith("stopped, because nothing reads the output: ")
    assert "Traceback" not in process.stderr
    done = subprocess.run(
        tiny("--runs-dir", tmp_path / "runs", "--name", "tiny", "--resume", "--epochs", 3),
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-2].startswith("final: val_loss=")


@pytest.mark.slow
def test_a_run_without_unicode_and_with_a_closed_stream(options: list, tmp_path: Path) -> None:
    env = os.environ | {"PYTHONIOENCODING": "ascii"}
    process = subprocess.run(tiny(*options, *TINY, "--epochs", 1), env=env, capture_output=True, check=True)
    assert b"final: val_loss=" in process.stdout
    run = " ".join(map(shlex.quote, tiny(*options, *TINY, "--epochs", 1, "--overwrite")))
    subprocess.run(["bash", "-c", f"{run} >&- 2>&-"], check=True)
    assert len((tmp_path / "runs/tiny/metrics.jsonl").read_text().splitlines()) == 1
