import sys
from pathlib import Path

import pytest
from benchmarks.config import ColorizeBenchmark, SegmentBenchmark
from benchmarks.device import _run, parts

from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.options import read_options


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("is_cpu", [False, True])
def test_all_parts_are_commands_that_exist(quick: bool, is_cpu: bool, tmp_path: Path) -> None:
    commands = parts(quick, is_cpu, tmp_path)
    assert [name for name in commands if name.startswith("speed")] == [
        f"speed-{precision}"
        for precision in ("float32", "tf32", "bfloat16")
        if not (is_cpu and precision == "tf32")
    ]
    assert commands["first-run"] == commands["second-run"]
    for program, *arguments in commands.values():
        assert program == sys.executable
        if arguments[0] == "-m":
            assert all(Path(path).exists() for path in arguments if path.startswith("/"))
            continue
        script, *options = arguments
        assert Path(script).is_file()
        if script.endswith("colorize.py"):
            read_options(ColorizeConfig, options, "")
        else:
            task, *options = options
            read_options(ColorizeBenchmark if task == "colorize" else SegmentBenchmark, options, "")


def test_a_part_that_fails_or_takes_too_long_is_reported(tmp_path: Path) -> None:
    output = tmp_path / "part.txt"
    assert _run([sys.executable, "-c", "print('text')"], output, 60) is None
    assert output.read_text() == "text\n"
    assert _run([sys.executable, "-c", "exit(3)"], output, 60) == f"exit status 3, see {output}"
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    assert _run(sleep, output, 0.1) == "stopped, because the time is over"
    assert _run(sleep, output, 0) == "left out, because the time is over"
