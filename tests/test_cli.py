import subprocess
import sys

import pytest

from jaxcolor.cli import run_script
from jaxcolor.errors import UserError


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("lower --batch-size"), "error: lower --batch-size"),
        (
            OSError(28, "No space left on device", "runs/a"),
            "error: cannot read or write runs/a: No space left on device",
        ),
    ],
)
def test_errors_are_one_line(error: Exception, line: str) -> None:
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as stopped:
        run_script(main)
    assert stopped.value.code == line


def test_bugs_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_script(lambda: print(1 // 0))


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_that_the_garbage_collector_swallows_still_stops_the_run() -> None:
    script = """
import gc, signal, time
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
    assert done.stderr.strip() == "interrupted: with --name and --resume a run goes on after its last epoch"
