"""Files that are whole or not there, and the folder for what can be made again."""

import json
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import platformdirs

TEMPORARY = ".tmp"


def cache_folder() -> Path:
    """The user's folder for things that cost only time to make again."""
    return platformdirs.user_cache_path("jaxcolor")


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a file that takes the place of `path` only once it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=TEMPORARY)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write plain values, atomically; what JSON has no number for, nan and infinities, becomes null."""
    data = json.dumps(without_nonfinite(value), indent=2, default=str, allow_nan=False).encode()
    write_atomically(path, lambda file: file.write(data))


def without_nonfinite(value: Any) -> Any:
    """The value with None for each nan and infinity in its dicts, lists and tuples."""
    if isinstance(value, dict):
        return {name: without_nonfinite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_nonfinite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def remove_temporary(folder: Path) -> None:
    """Remove what a kill in `write_atomically` has left anywhere in a folder."""
    for path in folder.rglob(f".*{TEMPORARY}"):
        path.unlink()
