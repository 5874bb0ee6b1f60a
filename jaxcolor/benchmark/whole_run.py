"""Both programs from the command line, from their start to their end, in turns."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from jaxcolor.benchmark.config import ColorizeBenchmark
from jaxcolor.benchmark.rounds import take_turns
from jaxcolor.colorization.palette import Palette
from jaxcolor.errors import UserError

SCRIPT = Path(__file__).parents[2] / "experiments" / "colorize.py"


def whole_runs(config: ColorizeBenchmark, model: str, palette: Palette) -> dict[str, Any]:
    """Seconds of each program's runs, and the last line that each printed.

    Both are given the palette and prepared pictures. jaxcolor's first run finds no compiled programs, the
    later ones find those of the first; besides training it writes curves, pictures and checkpoints.
    """
    if not SCRIPT.exists():
        raise UserError(f"--whole-run needs jaxcolor's checkout: there is no {SCRIPT}")
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
        theirs = ["-m", "jaxcolor.reference.program", *shared]
        environment = os.environ | {"XDG_CACHE_HOME": folder}
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)

        def run(name: str, command: list[Any]) -> None:
            done = subprocess.run(
                [sys.executable, *map(str, command)], capture_output=True, text=True, env=environment
            )
            if done.returncode:
                raise UserError(f"{name} failed: {(done.stderr.strip().splitlines() or ['killed'])[-1]}")
            last_lines[name] = done.stdout.strip().splitlines()[-1]

        programs = {
            "jaxcolor": lambda: run("jaxcolor", ours),
            "pytorch": lambda: run("pytorch", theirs),
        }
        times = take_turns(programs, config.whole_run, warm_up=0)
    return {"model": model, "epochs": config.epochs, "seconds": times, "last_lines": last_lines}
