"""Atomic writes, locks between processes, and the cache folder."""

import contextlib
import csv
import io
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import platformdirs
from filelock import FileLock, Timeout

from jaxcolor.errors import UserError, reason

TEMPORARY = ".tmp"
LONGEST_START = 200  # bytes of a temporary file's name that are those of the file. File systems take 255.


def cache_folder() -> Path:
    """Return the user's folder for files that can be computed or downloaded again."""
    return platformdirs.user_cache_path("jaxcolor")


def check_writable(folder: Path) -> None:
    """Create a folder if there is none. Raises `OSError` if no file can be written into it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"x")


def expand_user(path: Path) -> Path:
    """Return a path with the home of a user in place of `~` or `~NAME`. Raises `UserError` if there is none.

    The shell expands `--runs-dir ~/runs` but not `--runs-dir=~/runs`.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise UserError(f"cannot expand {path}: there is no such user; write ./{path} for a file") from error


def files_below(folder: Path, needed: Collection[str] = ()) -> list[Path]:
    """Return the files in a folder and below it, sorted.

    Links to folders are followed, unless they lead to a folder that holds them. Folders that cannot be read
    are left out. Raises `UserError` for those whose names are `needed`.
    """

    def skip(error: OSError) -> None:
        if Path(error.filename).name in needed:
            raise UserError(f"cannot read {error.filename}: {reason(error)}") from error

    found: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=skip, followlinks=True):
        here = Path(place)
        folders[:] = [
            name
            for name in folders
            if not (here / name).is_symlink() or not here.resolve().is_relative_to((here / name).resolve())
        ]
        found += [here / name for name in names]
    return sorted(path for path in found if path.is_file())


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Open a temporary file, call `write` with it, and rename it to `path` when it is complete.

    An `OSError`, such as that of a full disk, names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=_temporary_prefix(path), suffix=TEMPORARY)
    except OSError as error:
        error.filename = str(path)
        raise
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException as error:
        os.unlink(name)
        if isinstance(error, OSError) and error.errno:
            error.filename = str(path)
        raise


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`, and rename it to `path` when it is complete.

    After an error it is deleted. Raises `UserError` if there is a file or folder of that name.
    """
    _check_new(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=_temporary_prefix(path), suffix=TEMPORARY))
    try:
        yield folder
        folder.chmod(0o755)
        _check_new(path)
        folder.rename(path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _temporary_prefix(path: Path) -> str:
    start = os.fsencode(path.name)[:LONGEST_START].decode(errors="ignore")
    return f".{start}."


def _check_new(path: Path) -> None:
    if os.path.lexists(path):
        raise UserError(f"{path} exists: give the name of a new folder, or remove it")


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, atomically. NaN and infinities become null."""
    data = json.dumps(without_nonfinite(value), indent=2, default=str, allow_nan=False).encode()
    write_atomically(path, lambda file: file.write(data + b"\n"))


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table as CSV, atomically. None, NaN and infinities become empty cells."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(without_nonfinite(list(row)) for row in rows)
    write_atomically(path, lambda file: file.write(text.getvalue().encode()))


def without_nonfinite(value: Any) -> Any:
    """Return `value` with None in place of NaN and infinities, also inside of dicts, lists and tuples."""
    if isinstance(value, dict):
        return {key: without_nonfinite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nonfinite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextlib.contextmanager
def locked(path: Path, message: str) -> Iterator[None]:
    """Hold the lock of `path`, a file beside it. Print `message` if another process holds it, and wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.parent / f".{path.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(message, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def remove_temporary(folder: Path) -> None:
    """Delete the temporary files that an interrupted `write_atomically` left in a folder and below it."""
    for path in folder.rglob(f".*{TEMPORARY}"):
        path.unlink()
