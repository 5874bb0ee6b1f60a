"""Complete runs of `jaxcolor.colorization`, for networks whose training has settings of its own.

Each run has its folder, as every run of the program has. A finished one is read, and an interrupted one is
resumed.
"""

import contextlib
import dataclasses
import io
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.colorization.job import colorize
from jaxcolor.colorization.palette import Palette
from jaxcolor.colorization.scores import NETWORK, ImageScores
from jaxcolor.errors import UserError, reason
from jaxcolor.files import write_atomically
from jaxcolor.loading import load
from jaxcolor.training.run_folder import RunFolder


@dataclass(frozen=True)
class Run:
    """A finished run."""

    folder: Path
    history: list[dict[str, Any]]  # the metrics of each epoch
    scores: ImageScores  # of the validation images, after the last epoch

    @property
    def seconds(self) -> float:
        return sum(metrics["seconds"] for metrics in self.history)

    def predict(self, images: UInt8[np.ndarray, "n height width 3"]) -> UInt8[np.ndarray, "n height width 3"]:
        """Color images with the last checkpoint."""
        return np.asarray(load(self.folder, "latest").predict(images))


class Runs:
    """The runs of an analysis, with the palette of its other trainings."""

    def __init__(self, settings: ColorizeConfig, palette: Palette, folder: Path, seeds: int):
        """`settings` are those of all runs, unless `train` changes them."""
        self.seeds = seeds
        self.used: dict[str, float] = {}  # seconds of the requested runs, by name
        self.spent = 0.0  # seconds of training by this object
        self._settings = dataclasses.replace(settings, runs_dir=folder, palette=folder / "palette.npy")
        write_atomically(folder / "palette.npy", lambda file: np.save(file, palette))

    def train(self, kind: str, **changes: Any) -> list[Run]:
        """Return a run per seed, with changed settings. `kind` names these in the folder."""
        return [
            self._run(dataclasses.replace(self._settings, name=f"{kind}-{seed}", seed=seed, **changes))
            for seed in range(self.seeds)
        ]

    def _run(self, config: ColorizeConfig) -> Run:
        finished = read(config.folder, config.epochs)
        if finished is None:
            start = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()):
                colorize(dataclasses.replace(config, resume=RunFolder(config.folder).is_run()))
            self.spent += time.perf_counter() - start
            finished = read(config.folder, config.epochs)
            assert finished, "the run was trained to its end"
            loss = finished.history[-1]["val_loss"]
            print(f"{config.name}: val_loss {loss:.4f}, {finished.seconds:.1f} s", flush=True)
        self.used[str(config.name)] = finished.seconds
        return finished


def read(path: Path, epochs: int | None) -> Run | None:
    """Return the run in a folder, or None if its training is not finished. Raises `UserError` for damage."""
    file = path / "scores.json"
    if not file.exists():
        return None
    try:
        scores = json.loads(file.read_text())
        network = ImageScores(**scores["scores"][NETWORK])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is damaged ({reason(error)}): delete it, and --resume") from error
    return Run(path, RunFolder(path).read_metrics(), network) if scores["epoch"] == epochs else None
