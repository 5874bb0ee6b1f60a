"""The folder of a run: settings, metrics, drawings and checkpoints."""

import contextlib
import difflib
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from jaxcolor.errors import UserError, reason
from jaxcolor.files import remove_temporary, write_atomically, write_json

PACKAGES = (
    "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "tensorflow-datasets", "numpy", "scipy"
)  # fmt: skip
Which = Literal["latest", "best"]  # of a run's checkpoints


@dataclass(frozen=True)
class RunFolder:
    """The folder `runs/NAME`. Nothing is written before `create`."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def config_file(self) -> Path:
        return self.path / "config.json"

    @property
    def log_file(self) -> Path:
        """The messages of libraries. There is no file without messages."""
        return self.path / "log.txt"

    @property
    def metrics_file(self) -> Path:
        return self.path / "metrics.jsonl"

    def is_run(self) -> bool:
        """Return whether the folder holds a run, and not something else with a config.json."""
        return self.config_file.is_file() and {"task", "settings"} <= self.read_config().keys()

    def check_task(self, task: str) -> None:
        """Raise `UserError` if the run is one of another program."""
        if (found := self.read_config()["task"]) != task:
            raise UserError(f"{self.path} is a run of {program(found)}, not of {program(task)}")

    def check_free(self, overwrite: bool) -> None:
        """Raise `UserError` if the folder has contents, unless it is a run and `overwrite` is set."""
        try:
            if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
                return
        except OSError as error:
            raise UserError(f"cannot read the run folder {self.path}: {reason(error)}") from error
        if not self.is_run():
            raise UserError(f"{self.path} exists and is not a run: choose another --name")
        if not overwrite:
            raise UserError(
                f"the run {self.path} exists: resume it with --resume, "
                "replace it with --overwrite, or choose another --name"
            )

    def create(
        self,
        config: dict[str, Any],
        fill: Callable[[Path], object] = lambda folder: None,
        overwrite: bool = False,
    ) -> None:
        """Create the folder with its config.json and the files that `fill` writes, all at once.

        The folder is created under another name first, so a kill leaves a complete run or none. With
        `overwrite` the files of the old run are deleted.
        """
        self.check_free(overwrite)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.path.parent, prefix=f".{self.path.name}.") as folder:
                new, old = Path(folder, "new"), Path(folder, "old")
                new.mkdir()
                RunFolder(new).write_config(config)
                fill(new)
                if self.path.exists():
                    with self.locked():
                        self.path.rename(old)
                new.rename(self.path)
        except OSError as error:
            raise UserError(f"cannot create the run folder {self.path}: {reason(error)}") from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training into the folder. The lock ends with the process."""
        try:
            with FileLock(self.path / ".lock", timeout=0):
                yield
        except Timeout as error:
            raise UserError(f"another process is training into {self.path}: wait for it to end") from error

    def write_config(self, config: dict[str, Any]) -> None:
        write_json(self.config_file, config)

    def read_config(self) -> dict[str, Any]:
        try:
            config = json.loads(self.config_file.read_text())
        except (OSError, ValueError) as error:
            raise UserError(f"{self.config_file} is damaged: {reason(error)}") from error
        if not isinstance(config, dict):
            raise UserError(f"{self.config_file} is not the config.json of a run")
        return config

    def log(self, metrics: dict[str, Any]) -> None:
        """Append the metrics of an epoch as one line. Raises `UserError` if the disk is full."""
        try:
            with open(self.metrics_file, "ab") as file:
                file.write(_json(metrics) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UserError(f"cannot write {self.metrics_file}: {reason(error)}") from error

    def read_metrics(self) -> list[dict[str, Any]]:
        """Return the logged metrics, one entry per epoch, without a last line that was cut off."""
        if not self.metrics_file.exists():
            return []
        lines = []
        for line in self.metrics_file.read_text().splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                break
        return lines

    def rewind(self, epoch: int) -> None:
        """Delete the metrics of epochs after `epoch`, and files that were not finished."""
        kept = [line for line in self.read_metrics() if line["epoch"] <= epoch]
        data = b"".join(_json(line) + b"\n" for line in kept)
        write_atomically(self.metrics_file, lambda file: file.write(data))
        remove_temporary(self.path)


def program(task: str) -> str:
    """Return how to call the program that runs a task."""
    return "colorize.py --model photo" if task == "photo" else f"{task}.py"


def find_run(path: Path, task: str | None = None) -> RunFolder:
    """Return the run in a folder. Raises `UserError` if there is none, with names that are close.

    With `task` it must be a run of that program.
    """
    folder = RunFolder(path)
    if folder.is_run():
        if task:
            folder.check_task(task)
        return folder
    siblings = path.parent.iterdir() if path.parent.is_dir() else ()
    names = [sibling.name for sibling in siblings if RunFolder(sibling).is_run()]
    close = difflib.get_close_matches(path.name, names)
    hint = (
        f"did you mean {' or '.join(close)}?"
        if close
        else f"the runs there are {', '.join(sorted(names)) or 'none'}"
    )
    raise UserError(f"there is no run in {path}: {hint}")


def _json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode()


def environment() -> dict[str, Any]:
    """Return the versions of packages, the device, and the git revision."""
    import jax

    import jaxcolor

    device = jax.devices()[0]
    count = "1 core" if os.cpu_count() == 1 else f"{os.cpu_count()} cores"
    versions = {"jaxcolor": jaxcolor.__version__, "python": platform.python_version()}
    return {
        "versions": versions | {name: version(name) for name in PACKAGES},
        "device": f"cpu: {count}" if device.platform == "cpu" else f"{device.platform}: {device.device_kind}",
        "git_revision": _git_revision(),
    }


def on_device(device: str) -> str:
    """Return where a run computes, for a line of text. `device` is that of `environment`."""
    platform, _, kind = device.partition(": ")
    return f"on the CPU ({kind})" if platform == "cpu" else f"on {device}"


def _git_revision() -> str | None:
    """Return the git revision of the checkout that holds this file, or None outside of a checkout."""
    here = Path(__file__)
    try:
        for command in (["ls-files", "--error-unmatch", here.name], ["describe", "--always", "--dirty"]):
            git = subprocess.run(
                ["git", *command], cwd=here.parent, capture_output=True, text=True, timeout=10, check=True
            )
    except (OSError, subprocess.SubprocessError):
        return None
    return git.stdout.strip()
