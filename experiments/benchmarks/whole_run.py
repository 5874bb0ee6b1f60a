"""Both programs from the command line, from their start to their end, in turns."""

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
from benchmarks.machine import EXPERIMENTS, script_environment
from benchmarks.rounds import best, speedup, take_turns
from benchmarks.speed import OURS
from jaxcolor.colorization.palette import Palette
from jaxcolor.errors import UserError

SCRIPT = EXPERIMENTS / "colorize.py"


def output_of(name: str, command: Sequence[object], cache: str) -> str:
    """What Python prints, run with these arguments and a folder for all that it caches."""
    variables = script_environment() | {"XDG_CACHE_HOME": cache}
    variables.pop("JAX_COMPILATION_CACHE_DIR", None)
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, env=variables)
    if done.returncode:
        raise UserError(f"{name} failed: {(done.stderr.strip().splitlines() or ['killed'])[-1]}")
    return done.stdout


def whole_runs(
    config: ColorizeBenchmark, model: str, palette: Palette, variants: Sequence[Variant]
) -> dict[str, Any]:
    """Seconds of each program's runs, the last line that each printed, and the ratio to the best of PyTorch.

    All are given the palette and prepared images. jaxcolor's first run finds no compiled programs, the
    later ones find those of the first; besides training it writes curves, images and checkpoints.
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
        ours = [SCRIPT, *shared, "--runs-dir", folder, "--overwrite"]
        theirs = ["-m", "reference.program", *shared, "--variant"]

        def run(name: str, command: Sequence[object]) -> None:
            last_lines[name] = output_of(name, command, folder).strip().splitlines()[-1]

        commands = {OURS: ours} | {f"pytorch {one.name}": [*theirs, one.name] for one in variants}
        programs = {name: partial(run, name, command) for name, command in commands.items()}
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
