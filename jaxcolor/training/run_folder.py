"""The folder that a run leaves behind: settings, metrics, pictures, checkpoints."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jaxcolor.errors import UserError, reason
from jaxcolor.files import write_atomically

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "tensorflow-datasets", "numpy")


@dataclass(frozen=True)
class RunFolder:
    """`runs/NAME`; nothing is written before `create`."""

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

    def has_config(self) -> bool:
        return self.config_file.is_file()

    def is_free(self) -> bool:
        """Whether a new run may use the folder: it does not exist, or is empty."""
        try:
            return not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir()))
        except OSError as error:
            raise UserError(f"cannot read the run folder {self.path}: {reason(error)}") from error

    def check_free(self, overwrite: bool) -> None:
        """Refuse an existing folder, unless it is a run and may be overwritten."""
        if self.is_free():
            return
        if not self.has_config():
            raise UserError(f"{self.path} exists and is not a run: choose another --name")
        if not overwrite:
            raise UserError(
                f"the run {self.path} exists: continue it with --resume, "
                "replace it with --overwrite, or choose another --name"
            )

    def create(self, config: dict[str, Any], overwrite: bool = False) -> None:
        """Make the folder with its config.json; what an overwritten run left goes away."""
        self.check_free(overwrite)
        try:
            if self.path.exists():
                shutil.rmtree(self.path)
            self.path.mkdir(parents=True)
            self.write_config(config)
        except OSError as error:
            raise UserError(f"cannot create the run folder {self.path}: {reason(error)}") from error

    def write_config(self, config: dict[str, Any]) -> None:
        write_atomically(self.config_file, lambda file: file.write(_json(config, indent=2)))

    def read_config(self) -> dict[str, Any]:
        try:
            return json.loads(self.config_file.read_text())
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read {self.config_file}: {reason(error)}") from error

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

    def rewind_metrics(self, epoch: int) -> None:
        """Forget the metrics of epochs after `epoch`: they will be run again."""
        kept = [line for line in self.read_metrics() if line["epoch"] <= epoch]
        data = b"".join(_json(line) + b"\n" for line in kept)
        write_atomically(self.metrics_file, lambda file: file.write(data))


def _json(value: Any, indent: int | None = None) -> bytes:
    return json.dumps(value, indent=indent, default=str, allow_nan=False).encode()


def environment() -> dict[str, Any]:
    """What a run ran on: versions, device and git revision."""
    import jax

    import jaxcolor

    device = jax.devices()[0]
    return {
        "versions": {"jaxcolor": jaxcolor.__version__} | {name: version(name) for name in PACKAGES},
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
