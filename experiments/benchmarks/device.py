"""All measurements of a device, one process after the other, within a time limit."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import jax

from benchmarks.config import DeviceBenchmark
from benchmarks.processes import EXPERIMENTS
from jaxcolor.training.compilation import check_platforms

ROOT = EXPERIMENTS.parent
TESTS = ("layers", "models", "training", "colorization/test_task.py", "segmentation/test_task.py")


def measure_device(config: DeviceBenchmark) -> list[str]:
    """Run all parts, and return the names of those that failed or found no time."""
    check_platforms()
    is_cpu = jax.default_backend() == "cpu"
    out = config.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out / "cache", ignore_errors=True)
    end = time.monotonic() + 60 * config.minutes
    failed = []
    for name, command in parts(config.quick, is_cpu, out).items():
        start = time.monotonic()
        problem = _run(command, out / f"{name}.txt", end - start)
        failed += [name] if problem else []
        print(f"{name}: {problem or 'done'}, {time.monotonic() - start:.0f} s", flush=True)
    print(f"output: {config.out}", flush=True)
    return failed


def parts(quick: bool, is_cpu: bool, out: Path) -> Mapping[str, list[str]]:
    """Return the command of each part, the most important parts first."""
    few = ["--rounds", "5"]
    small = ["--filters", "4", *few, "--no-memory"] if quick else few
    batches = ["2"] if quick else ["25", "100", "500", "1000"]
    colorize = [sys.executable, str(EXPERIMENTS / "benchmark.py"), "colorize"]
    segment = [sys.executable, str(EXPERIMENTS / "benchmark.py"), "segment", *few]
    run = [
        sys.executable, str(EXPERIMENTS / "colorize.py"), "--dataset", "sample",
        "--runs-dir", str(out / "runs"), "--overwrite", "--epochs", "1" if quick else "25",
    ]  # fmt: skip
    tiny = ["--image-size", "32", "--parts", "forward", "--backbone", "resnet50"]
    precisions = ("float32", "bfloat16") if is_cpu else ("float32", "tf32", "bfloat16")
    return {
        "certificate": [*colorize, "--certificate", "only"],
        "first-run": run,
        "second-run": run,
        **{
            f"speed-{precision}": [
                *colorize, "--certificate", "no", "--precision", precision, "--batch-size", *batches, *small,
            ]
            for precision in precisions
        },
        "segmentation": segment + (tiny if quick else []),
        "tests": [
            sys.executable, "-m", "pytest", "-q", "-n", "0",
            *(["--collect-only"] if quick else []), *(str(ROOT / "tests" / test) for test in TESTS),
        ],
    }  # fmt: skip


def _run(command: list[str], output: Path, seconds: float) -> str | None:
    """Run a command with its output in a file. Return the problem, if there is one."""
    if seconds <= 0:
        return "left out, because the time is over"
    cache = os.environ | {"XDG_CACHE_HOME": str(output.parent / "cache")}  # empty before the first run
    with open(output, "w") as file:
        try:
            done = subprocess.run(
                command, stdout=file, stderr=subprocess.STDOUT, timeout=seconds, cwd=ROOT, env=cache
            )
        except subprocess.TimeoutExpired:
            return "stopped, because the time is over"
    return f"exit status {done.returncode}, see {output}" if done.returncode else None
