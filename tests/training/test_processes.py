import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import tiny_network

from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.errors import UserError
from jaxcolor.segmentation.config import SegmentConfig
from jaxcolor.training import processes
from jaxcolor.training.config import Place, RunConfig
from jaxcolor.training.processes import (
    differing,
    is_first,
    is_launched,
    last_words,
    local,
    together,
    wait_for_all,
)
from jaxcolor.training.progress import Progress

SCRIPT = Path(__file__).parents[2] / "experiments" / "colorize.py"
EPOCHS = 4


@pytest.mark.parametrize(
    ("environment", "launched"),
    [
        ({}, False),
        ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4"}, False),  # a shell in an allocation, without srun
        ({"SLURM_STEP_NUM_TASKS": "1"}, False),
        ({"SLURM_STEP_NUM_TASKS": "4"}, True),
        ({"OMPI_COMM_WORLD_SIZE": "1"}, False),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, True),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, False),
        ({"TPU_WORKER_HOSTNAMES": "10.0.0.1,10.0.0.2"}, True),
    ],
)
def test_launchers_are_found(environment: dict[str, str], launched: bool) -> None:
    assert is_launched(environment) == launched


def test_one_process_is_the_first_and_waits_for_nobody() -> None:
    tree = {"weights": jax.numpy.ones(3)}
    with together(None):
        assert is_first()
        wait_for_all("nobody")
        assert local(tree) is tree
        assert differing({"seed": 0}) == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UserError("there is no such folder"), "error: there is no such folder"),
        (FileNotFoundError(2, "No such file", "a.jpg"), "error: cannot read or write a.jpg: No such file"),
        (
            jax.errors.JaxRuntimeError("UNKNOWN: Gloo all-reduce failed: Connection reset by peer"),
            "error: process 0 has lost another one: start all again with --resume",
        ),
        (
            UserError("cannot write a checkpoint: UNKNOWN: Gloo AllGather failed"),
            "error: process 0 has lost another one: start all again with --resume",
        ),
        (KeyError("a bug"), "KeyError: 'a bug'\n"),
    ],
)
def test_last_words_say_what_to_do(error: Exception, words: str) -> None:
    assert last_words(error) == words


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"processes": 2}, "--coordinator, --processes and --process belong together: give all three"),
        (
            {"coordinator": "host:1", "processes": 2},
            "--coordinator, --processes and --process belong together: give all three",
        ),
        (
            {"coordinator": "host", "processes": 2, "process": 0},
            "--coordinator must be the first process's HOST:PORT, not host",
        ),
        (
            {"coordinator": "host:99999", "processes": 2, "process": 0},
            "--coordinator must be the first process's HOST:PORT, not host:99999",
        ),
        ({"coordinator": "host:1", "processes": 2, "process": 2}, "--process must be 0 to 1, not 2"),
        ({"coordinator": "host:1", "processes": 0, "process": 0}, "--processes must be at least 1, not 0"),
        (
            {"coordinator": "host:1", "processes": 2, "process": 0, "predict": (Path("a.jpg"),)},
            "--predict is for one process: leave out --coordinator",
        ),
    ],
)
@pytest.mark.parametrize("config", [ColorizeConfig, SegmentConfig])
def test_the_place_of_a_process_is_checked(
    config: type[RunConfig], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError) as error:
        config(**options)
    assert str(error.value) == words


def test_a_resumed_run_finds_the_processes_of_today() -> None:
    config = ColorizeConfig(coordinator="yesterday:1", processes=2, process=1)
    assert config.place == ("yesterday:1", 2, 1)
    assert config.to_resume().place is None


def test_later_processes_are_quiet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(processes, "connect", lambda place: None)
    monkeypatch.setattr(processes, "is_first", lambda: False)
    monkeypatch.setattr(Progress, "hidden", False)
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    with together(Place("host:1", 2, 1)):
        print("epoch 1")
        print("warning: the batch is large", file=sys.stderr)
    sys.stdout.close()
    assert capsys.readouterr() == ("", "")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def start(runs: Path, count: int, *options: object, last: tuple[object, ...] = ()) -> list[subprocess.Popen]:
    """Start the processes of a run with a tiny network, on one CPU device each.

    `last` are further options of the last one.
    """
    coordinator = f"127.0.0.1:{free_port()}"
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_backend_optimization_level=1"}
    common = [
        sys.executable, tiny_network.__file__, SCRIPT, "--model", tiny_network.NAME, "--dataset", "sample",
        "--filters", 4, "--colors", 6, "--batch-size", 400, "--runs-dir", runs, *options,
    ]  # fmt: skip
    places: list[list[object]] = [
        ["--coordinator", coordinator, "--processes", count, "--process", process] for process in range(count)
    ]
    places[-1] += last
    return [
        subprocess.Popen(
            list(map(str, [*common, *(place if count > 1 else [])])),
            env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for place in places
    ]  # fmt: skip


def wait_for(run: Path, epoch: int, processes: list[subprocess.Popen]) -> None:
    end = time.monotonic() + 240
    while len(numbers(run)) < epoch:
        ended = [process.communicate()[1] for process in processes if process.poll() is not None]
        assert not ended, ended
        assert time.monotonic() < end, "the run did not get so far"
        time.sleep(0.05)


def numbers(run: Path) -> list[dict[str, Any]]:
    file = run / "metrics.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line) for line in lines]


@pytest.mark.slow
def test_a_run_of_two_processes_is_resumed_with_three_after_one_was_killed(tmp_path: Path) -> None:
    (whole,) = start(tmp_path, 1, "--name", "whole", "--epochs", EPOCHS)
    _, errors = whole.communicate(timeout=300)
    assert whole.returncode == 0, errors

    run = tmp_path / "shared"
    first, second = start(tmp_path, 2, "--name", "shared", "--epochs", 1000)
    wait_for(run, 2, [first, second])
    second.send_signal(signal.SIGKILL)
    second.communicate()
    _, errors = first.communicate(timeout=120)
    assert first.returncode != 0
    assert re.search("lost another one.*--resume|another task died", errors), errors

    done = len(numbers(run))
    resumed = start(tmp_path, 3, "--name", "shared", "--resume", "--epochs", done + 1)
    outputs = [process.communicate(timeout=300) for process in resumed]
    assert [process.returncode for process in resumed] == [0, 0, 0], outputs
    assert "3 processes with 3 devices" in outputs[0][0]
    assert f"final: val_loss={numbers(run)[-1]['val_loss']:.4f}" in outputs[0][0]
    assert "epoch" in outputs[0][0]  # the first one alone prints
    assert not any("epoch" in text or "final" in text for text, _ in outputs[1:])

    assert [line["epoch"] for line in numbers(run)] == list(range(1, done + 2))
    for one, shared in zip(numbers(tmp_path / "whole"), numbers(run), strict=False):
        for name in ("train_loss", "val_loss", "val_accuracy"):
            np.testing.assert_allclose(shared[name], one[name], rtol=2e-3, err_msg=f"{name}, {one['epoch']}")


@pytest.mark.slow
def test_processes_with_different_settings_do_not_train(tmp_path: Path) -> None:
    processes = start(tmp_path, 2, "--name", "apart", last=("--lr", 0.5, "--seed", 7))
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [1, 1]
    for text in errors:
        assert text.splitlines()[-1] == (
            "error: the processes were started with different --learning-rate, --seed: "
            "give all the same options"
        )
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_a_process_that_finds_nobody_says_so(tmp_path: Path) -> None:
    code = (
        "from jaxcolor.training import processes\n"
        "from jaxcolor.training.config import Place\n"
        "processes.CONNECT_SECONDS = 1\n"
        f"processes.connect(Place('127.0.0.1:{free_port()}', 2, 0))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr == (
        "error: the other processes do not answer: start all within 1 seconds, with the same --coordinator "
        "and --processes, and each with its own --process\n"
    )
