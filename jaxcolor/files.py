"""Files that are complete or do not exist, and the cache folder."""

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
    """Return the user's folder for files that can be computed again."""
    return platformdirs.user_cache_path("jaxcolor")


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file with `write`. It replaces `path` only when it is complete."""
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
    """Write values as JSON, atomically. nan and infinities become null."""
    data = json.dumps(without_nonfinite(value), indent=2, default=str, allow_nan=False).encode()
    write_atomically(path, lambda file: file.write(data))


def without_nonfinite(value: Any) -> Any:
    """Return the value with None in place of nan and infinities in dicts, lists and tuples."""
    if isinstance(value, dict):
        return {name: without_nonfinite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_nonfinite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def remove_temporary(folder: Path) -> None:
    """Delete the temporary files of an interrupted `write_atomically` anywhere in a folder."""
    for path in folder.rglob(f".*{TEMPORARY}"):
        path.unlink()
