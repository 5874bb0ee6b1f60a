"""The folder that a run leaves behind: settings, metrics, images, checkpoints."""

import contextlib
import fcntl
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jaxcolor.errors import UserError, reason
from jaxcolor.files import remove_temporary, write_atomically, write_json

PACKAGES = (
    "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "tensorflow-datasets", "numpy", "scipy"
)  # fmt: skip


@dataclass(frozen=True)
class RunFolder:
    """`runs/NAME`: a folder with a config.json of ours. Nothing is written before `create`."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def config_file(self) -> Path:
        return self.path / "config.json"

    @property
    def metrics_file(self) -> Path:
        return self.path / "metrics.jsonl"

    def is_run(self) -> bool:
        """Whether the folder holds a run, and not something else that happens to have a config.json."""
        return self.config_file.is_file() and {"task", "settings"} <= self.read_config().keys()

    def check_free(self, overwrite: bool) -> None:
        """Refuse a folder with something in it, unless it is a run and may be overwritten."""
        try:
            if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
                return
        except OSError as error:
            raise UserError(f"cannot read the run folder {self.path}: {reason(error)}") from error
        if not self.is_run():
            raise UserError(f"{self.path} exists and is not a run: choose another --name")
        if not overwrite:
            raise UserError(
                f"the run {self.path} exists: continue it with --resume, "
                "replace it with --overwrite, or choose another --name"
            )

    def create(
        self,
        config: dict[str, Any],
        fill: Callable[[Path], object] = lambda folder: None,
        overwrite: bool = False,
    ) -> None:
        """Make the folder with its config.json and what `fill` puts into it, all at once.

        It is made under another name first, so that a kill leaves a run or none. What an overwritten
        run left goes away.
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
        """Keep other processes from training into the folder; a kill gives it free, too."""
        with open(self.path / ".lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UserError(f"another process is training into {self.path}") from error
            yield

    def write_config(self, config: dict[str, Any]) -> None:
        write_json(self.config_file, config)

    def read_config(self) -> dict[str, Any]:
        try:
            config = json.loads(self.config_file.read_text())
        except (OSError, ValueError) as error:
            raise UserError(f"{self.config_file} is damaged: {reason(error)}") from error
        if not isinstance(config, dict):
            raise UserError(f"{self.config_file} is not that of a run")
        return config

    def log(self, metrics: dict[str, Any]) -> None:
        """Append the metrics of an epoch as one line."""
        with open(self.metrics_file, "ab") as file:
            file.write(_json(metrics) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def read_metrics(self) -> list[dict[str, Any]]:
        """The logged metrics, an entry an epoch, without a last line that was cut short."""
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
        """Forget what was begun after `epoch`: metrics of later epochs, and half-written files."""
        kept = [line for line in self.read_metrics() if line["epoch"] <= epoch]
        data = b"".join(_json(line) + b"\n" for line in kept)
        write_atomically(self.metrics_file, lambda file: file.write(data))
        remove_temporary(self.path)


def _json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode()


def environment() -> dict[str, Any]:
    """What a run ran on: versions, device and git revision."""
    import jax

    import jaxcolor

    device = jax.devices()[0]
    versions = {"jaxcolor": jaxcolor.__version__, "python": platform.python_version()}
    return {
        "versions": versions | {name: version(name) for name in PACKAGES},
        "device": f"{device.platform}: {device.device_kind} ({os.cpu_count()} CPU cores)",
        "git_revision": _git_revision(),
    }


def _git_revision() -> str | None:
    """The revision of the checkout that this file belongs to; None where it belongs to none."""
    here = Path(__file__)
    try:
        for command in (["ls-files", "--error-unmatch", here.name], ["describe", "--always", "--dirty"]):
            git = subprocess.run(
                ["git", *command], cwd=here.parent, capture_output=True, text=True, timeout=10, check=True
            )
    except (OSError, subprocess.SubprocessError):
        return None
    return git.stdout.strip()
