"""`--log`: the metrics and drawings of a run for other programs, besides metrics.jsonl and the PNG files."""

import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from PIL import Image

from jaxcolor.errors import UserError, reason
from jaxcolor.files import write_csv, write_json
from jaxcolor.training.config import LogName
from jaxcolor.training.run_folder import RunFolder

PACKAGES: dict[LogName, tuple[str, str]] = {  # the module that a log needs, and the package to install
    "tensorboard": ("tensorboardX", "tensorboardX"),
    "wandb": ("wandb", "wandb"),
}
CONFUSION = "confusion.png"  # drawn anew in every epoch
EPOCH = re.compile(r"-epoch-(\d+)$")  # in the names of drawings

Metrics = dict[str, Any]  # those of an epoch, as in metrics.jsonl


@runtime_checkable
class Log(Protocol):
    """A log. Epochs come in their order, and the drawings of an epoch after its metrics."""

    def add_metrics(self, metrics: Metrics) -> None:
        """Add the metrics of an epoch."""

    def add_drawings(self, epoch: int) -> None:
        """Add the images that were drawn for an epoch. Another thread may call this."""

    def close(self) -> None:
        """Write what is not written yet."""


def check_log(name: LogName) -> None:
    """Raise `UserError` if the package that a log needs is not installed."""
    if name in PACKAGES and not find_spec(PACKAGES[name][0]):
        package = PACKAGES[name][1]
        raise UserError(f"--log {name} needs the package {package}: run `pip install {package}`")


def open_log(name: LogName, run: RunFolder, history: Sequence[Metrics]) -> Log:
    """Return the log of a run. `history` holds the metrics of the epochs that a run has when it resumes.

    What the log has of later epochs, which will be repeated, is dropped. Raises `OSError` if it cannot write
    its files.
    """
    return LOGS[name](run, history)


class NoLog:
    """The log that keeps nothing."""

    def __init__(self, run: RunFolder, history: Sequence[Metrics]):
        pass

    def add_metrics(self, metrics: Metrics) -> None:
        pass

    def add_drawings(self, epoch: int) -> None:
        pass

    def close(self) -> None:
        pass


class CSVLog(NoLog):
    """metrics.csv: a row per epoch."""

    def __init__(self, run: RunFolder, history: Sequence[Metrics]):
        self._path = run.path / "metrics.csv"
        self._rows = list(history)
        self._path.open("a").close()  # an error comes before the training, not after an epoch

    def add_metrics(self, metrics: Metrics) -> None:
        """Write all rows anew, atomically. Epoch 0 lacks the columns of training."""
        self._rows.append(metrics)
        names = list(dict.fromkeys(name for row in reversed(self._rows) for name in row))
        write_csv(self._path, names, [[row.get(name) for name in names] for row in self._rows])


class TensorBoardLog:
    """Events for TensorBoard in the folder tensorboard/ of the run.

    A run that resumes writes them anew from its metrics and drawings, so that no step is there twice.
    """

    def __init__(self, run: RunFolder, history: Sequence[Metrics]):
        from tensorboardX import SummaryWriter  # an optional package

        self._run = run
        folder = run.path / "tensorboard"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        self._writer = SummaryWriter(str(folder))
        for metrics in history:
            self.add_metrics(metrics)
        for metrics in history[:-1]:  # a run that resumes draws its last epoch again
            self.add_drawings(metrics["epoch"])

    def add_metrics(self, metrics: Metrics) -> None:
        for name, value in numbers(metrics).items():
            self._writer.add_scalar(name, value, metrics["epoch"])
        self._writer.flush()

    def add_drawings(self, epoch: int) -> None:
        for name, path in drawings(self._run, epoch).items():
            pixels = np.asarray(Image.open(path).convert("RGB"))
            self._writer.add_image(name, pixels, epoch, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class WandbLog:
    """A run of Weights & Biases, in the project jaxcolor or that of WANDB_PROJECT.

    With WANDB_MODE=offline nothing is uploaded; the files are in wandb/ of the run folder. A file there holds
    the id of the run, which a resume goes on with, and the last epochs that are logged, so that none is
    logged twice.
    """

    def __init__(self, run: RunFolder, history: Sequence[Metrics]):
        import wandb  # an optional package

        self._run = run
        self._image = wandb.Image
        self._file = run.path / "wandb" / "jaxcolor.json"
        new: dict[str, Any] = {"id": secrets.token_hex(4), "metrics": -1, "drawings": -1}
        self._logged = self._read() if self._file.exists() else new
        write_json(self._file, self._logged)
        try:
            self._wandb = wandb.init(
                project=os.environ.get("WANDB_PROJECT", "jaxcolor"), name=run.path.name, dir=run.path,
                id=self._logged["id"], resume="allow", config=run.read_config()["settings"],
            )  # fmt: skip
        except wandb.errors.Error as error:
            raise UserError(
                f"--log wandb cannot start ({reason(error)}): run `wandb login`, or set WANDB_MODE=offline"
            ) from error
        self._wandb.define_metric("*", step_metric="epoch")
        for metrics in history:  # those of epochs that were trained without this log
            self.add_metrics(metrics)

    def _read(self) -> dict[str, Any]:
        try:
            logged = json.loads(self._file.read_text())
            return {"id": str(logged["id"]), **{kind: int(logged[kind]) for kind in ("metrics", "drawings")}}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self._file} is damaged ({reason(error)}): delete it to log into a new run of wandb"
            ) from error

    def add_metrics(self, metrics: Metrics) -> None:
        self._add("metrics", metrics["epoch"], 2 * metrics["epoch"], numbers(metrics))

    def add_drawings(self, epoch: int) -> None:
        images = {name: self._image(str(path)) for name, path in drawings(self._run, epoch).items()}
        self._add("drawings", epoch, 2 * epoch + 1, images)

    def _add(self, kind: str, epoch: int, step: int, values: dict[str, Any]) -> None:
        if epoch > self._logged[kind]:
            self._wandb.log(values | {"epoch": epoch}, step=step)
            self._logged[kind] = epoch
            write_json(self._file, self._logged)

    def close(self) -> None:
        self._wandb.finish()


LOGS: dict[LogName, Callable[[RunFolder, Sequence[Metrics]], Log]] = {
    "none": NoLog,
    "csv": CSVLog,
    "tensorboard": TensorBoardLog,
    "wandb": WandbLog,
}


def numbers(metrics: Metrics) -> dict[str, float]:
    """Return the metrics of an epoch without its number."""
    return {name: value for name, value in metrics.items() if name != "epoch"}


def drawings(run: RunFolder, epoch: int) -> dict[str, Path]:
    """Return the images of an epoch by their names, such as samples/validation.

    The confusion matrix, of which the folder has the last one, belongs to the last epoch that is logged.
    """
    found = {}
    for path in sorted(run.path.glob(f"*/*-epoch-{epoch:03}.png")):
        found[f"{path.parent.name}/{EPOCH.sub('', path.stem)}"] = path
    if (run.path / CONFUSION).exists() and run.read_metrics()[-1]["epoch"] == epoch:
        found["confusion"] = run.path / CONFUSION
    return found
