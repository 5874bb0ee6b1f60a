import logging
import os
import subprocess
import sys
import tempfile
import threading
import warnings
from pathlib import Path

import pytest

from jaxcolor.cli import RESUME_ADVICE
from jaxcolor.errors import UserError
from jaxcolor.terminal import messages_into, one_line_messages

PROGRAM = """
import sys, time
from jaxcolor.cli import run_script
from jaxcolor.errors import UserError

def main():
    print("first", flush=True)
    sys.stdin.read()  # until the test has closed what it reads
    print("1 − 2 × 3 …", "\\u4f60", "\\udcff", flush=True)
    if "bad" in sys.argv:
        raise UserError("bad")

run_script(main)
"""
WITHOUT_UTF8 = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def run(shell: str, **variables: str) -> subprocess.CompletedProcess:
    """Run the program, `$PROGRAM` in a line of the shell."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "program.py").write_text(PROGRAM)
        variables = {"PYTHONPATH": os.pathsep.join(sys.path), "PROGRAM": f"{folder}/program.py"} | variables
        return subprocess.run(
            ["bash", "-c", shell.replace("$PROGRAM", f"{sys.executable} $PROGRAM")],
            input=b"", env=os.environ | variables, capture_output=True,
        )  # fmt: skip


@pytest.mark.parametrize("variables", [{"PYTHONIOENCODING": "ascii"}, WITHOUT_UTF8])
def test_a_terminal_without_unicode_gets_similar_characters(variables: dict[str, str]) -> None:
    done = run("$PROGRAM", **variables)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"first\n1 - 2 x 3 ... \\u4f60 \xff\n"


def test_names_of_files_that_are_no_unicode_are_printed_as_they_are() -> None:
    done = run("$PROGRAM", PYTHONIOENCODING="utf-8")
    assert done.stdout == "first\n1 − 2 × 3 … 你 ".encode() + b"\xff\n"


@pytest.mark.parametrize(
    ("shell", "status", "out", "err"),
    [
        ("$PROGRAM >&-", 0, b"", b""),
        ("$PROGRAM 2>&-", 0, b"first", b""),
        ("$PROGRAM bad >&-", 1, b"", b"error: bad\n"),
        ("$PROGRAM bad 2>&-", 1, b"first", b""),
        ("$PROGRAM >&- 2>&-", 0, b"", b""),
        ("$PROGRAM <&-", 0, b"first", b""),
        ("$PROGRAM >/dev/full", 1, b"", b"error: cannot read or write: No space left on device\n"),
    ],
)
def test_streams_that_are_closed_or_full(shell: str, status: int, out: bytes, err: bytes) -> None:
    done = run(shell, PYTHONIOENCODING="utf-8")
    assert (done.returncode, done.stderr) == (status, err)
    assert done.stdout.startswith(out)
    assert bool(done.stdout) == bool(out)


def test_a_file_does_not_take_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    program = (
        "import os; from jaxcolor.terminal import prepare_streams; prepare_streams(); "
        f"file = open({str(tmp_path / 'file')!r}, 'w'); os.write(1, b'lost'); file.write(str(file.fileno()))"
    )
    subprocess.run(["bash", "-c", f'{sys.executable} -c "{program}" >&-'], check=True)
    assert int((tmp_path / "file").read_text()) > 2


@pytest.mark.parametrize("also_errors", [False, True])
def test_a_broken_pipe_is_one_line(also_errors: bool) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if also_errors else subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline() == b"first\n"
    process.stdout.close()
    process.stdin.close()
    err = process.stderr.read().decode() if process.stderr else ""
    if process.stderr:
        process.stderr.close()
    assert process.wait() == 141
    line = f"stopped, because nothing reads the output: {RESUME_ADVICE}\n"
    assert err == ("" if also_errors else line)


def test_messages_of_libraries_are_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("library")
    with one_line_messages():
        logger.warning("mkdir -p failed for path /x")
        logger.warning("Created a folder; it is highly recommended to\nread more")
        logger.info("a detail")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old", FutureWarning, stacklevel=1)
        try:
            raise ValueError("inside")
        except ValueError:
            logger.exception("failed")
    assert capsys.readouterr().err.splitlines() == [
        "warning: Created a folder", "warning: FutureWarning: old", "warning: failed"
    ]  # fmt: skip


def fail() -> None:
    raise ValueError("inside")


class Unraisable:
    def __del__(self) -> None:
        raise ValueError("in a finalizer")


def test_during_a_run_messages_go_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log.txt"
    hooks = sys.unraisablehook, threading.excepthook, warnings.showwarning
    with one_line_messages(), messages_into(path):
        assert not path.exists()
        logging.getLogger("absl").error("cannot write")
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        Unraisable()
    assert (sys.unraisablehook, threading.excepthook, warnings.showwarning) == hooks
    text = path.read_text()
    for part in ("ERROR absl: cannot write", "ValueError: inside", "ValueError: in a finalizer", "in fail"):
        assert part in text
    logging.getLogger("absl").error("after the run")
    assert path.read_text() == text
    assert capsys.readouterr().err == ""


def test_messages_after_the_error_that_ends_a_script_go_to_the_file(tmp_path: Path) -> None:
    program = f"""
import logging, sys
from pathlib import Path
from jaxcolor.cli import run_script
from jaxcolor.errors import UserError
from jaxcolor.terminal import messages_into

class Late:
    def __del__(self):
        logging.getLogger("asyncio").error("a task was never awaited")

def main():
    main.late = Late()
    with messages_into(Path({str(tmp_path / "log.txt")!r})):
        raise UserError("the disk is full")

try:
    run_script(main)
finally:
    del main.late
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "error: the disk is full\n")
    assert "a task was never awaited" in (tmp_path / "log.txt").read_text()


def test_in_a_program_of_the_user_an_error_ends_the_redirection(tmp_path: Path) -> None:
    hook = sys.unraisablehook
    with pytest.raises(UserError), messages_into(tmp_path / "log.txt"):
        raise UserError("the disk is full")
    assert sys.unraisablehook is hook
    logging.getLogger("absl").error("later")
    assert not (tmp_path / "log.txt").exists()


def test_a_log_that_cannot_be_written_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with messages_into(tmp_path / "missing" / "log.txt"):
        logging.getLogger("absl").error("cannot write")
    assert capsys.readouterr().err == ""
