"""Python programs in processes of their own, and whole runs of both programs in turns."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from reference.variants import Variant

from benchmarks.config import ColorizeBenchmark
from benchmarks.rounds import best, speedup, take_turns
from benchmarks.speed import OURS
from jaxcolor.colorization.palette import Palette
from jaxcolor.errors import UserError

EXPERIMENTS = Path(__file__).parents[1]


def run_python(name: str, arguments: Sequence[object], cache: Path | str) -> str:
    """Run Python with `arguments` in a new process and return its standard output.

    The process can import the packages in experiments/, and `cache` is its cache folder. Raises `UserError`
    with `name` and the last line of standard error if the process fails.
    """
    paths = [str(EXPERIMENTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "XDG_CACHE_HOME": str(cache)}
    variables.pop("JAX_COMPILATION_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, env=variables
    )
    if done.returncode:
        raise UserError(f"{name} failed: {(done.stderr.strip().splitlines() or ['killed'])[-1]}")
    return done.stdout


def compare_whole_runs(
    config: ColorizeBenchmark, model: str, palette: Palette, variants: Sequence[Variant]
) -> dict[str, Any]:
    """Return the seconds of each program's runs, its last line, and jaxcolor's ratio to the best variant.

    All runs start with the same palette and with prepared images. jaxcolor's first run compiles its programs;
    its later runs find them in the cache. jaxcolor also writes curves, images and checkpoints.
    """
    last_lines: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "palette.npy"), palette)
        shared = [
            "--model", model, "--epochs", config.epochs, "--batch-size", config.batch_size[0],
            "--filters", config.filters, "--palette", Path(folder, "palette.npy"),
            "--dataset", config.dataset,
        ]  # fmt: skip
        if config.dataset == "cifar10":
            shared += ["--category", config.category]
        for option, value in (("--archive", config.archive), ("--data-dir", config.data_dir)):
            shared += [option, value] if value else []
        ours = [EXPERIMENTS / "colorize.py", *shared, "--runs-dir", folder, "--overwrite"]
        theirs = ["-m", "reference.program", *shared, "--variant"]

        def run(name: str, arguments: Sequence[object]) -> None:
            last_lines[name] = run_python(name, arguments, folder).strip().splitlines()[-1]

        arguments_of = {OURS: ours} | {f"pytorch {one.name}": [*theirs, one.name] for one in variants}
        programs = {name: partial(run, name, arguments) for name, arguments in arguments_of.items()}
        times = take_turns(programs, config.whole_run, warm_up=0)
    fastest = best(times, [name for name in times if name != OURS])
    return {
        "model": model,
        "epochs": config.epochs,
        "seconds": times,
        "best": fastest,
        "ratio": speedup(times, OURS, fastest).ratio,
        "last_lines": last_lines,
    }
