"""Prepare the records of a tensorflow-datasets builder, once per machine, and find them again."""

import contextlib
import hashlib
import importlib.util
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import tensorflow_datasets as tfds
from absl import logging as absl_logging

from jaxcolor.data.download import file_hash
from jaxcolor.errors import UserError, reason
from jaxcolor.files import files_below, locked

Builder = TypeVar("Builder", bound=tfds.core.GeneratorBasedBuilder)


@dataclass
class ArchiveConfig(tfds.core.BuilderConfig):
    """An archive on disk. `name` is its md5, so each archive has its own records."""

    archive: Path | None = None


def make_builder(cls: type[Builder], config: tfds.core.BuilderConfig, data_dir: Path | None) -> Builder:
    """Return a builder that writes array_record files, which do not need TensorFlow.

    It prepares data in `data_dir`, or in the default folder of tfds if None. Raises `UserError`.
    """
    try:
        with _quiet():
            return cls(config=config, data_dir=data_dir, file_format="array_record")
    except OSError as error:
        where = data_dir or "of tensorflow-datasets"
        raise UserError(
            f"cannot use the data folder {where}: {reason(error)}; choose another one with --data-dir"
        ) from error


def can_prepare() -> bool:
    """Return whether records can be written here. The package array-record has no build for Windows."""
    return importlib.util.find_spec("array_record") is not None


def find_builder(
    cls: type[Builder], official_md5: str, archive: Path | None, data_dir: Path | None, md5: str | None = None
) -> Builder:
    """Return the builder of an archive.

    `md5` is that of an earlier run's archive, or None. It replaces an archive that is gone, because its
    records may still be here. Without both, the builder is that of the official archive.
    """
    if md5 and not (archive and archive.exists()):
        earlier = make_builder(cls, ArchiveConfig(name=md5), data_dir)
        if earlier.is_prepared() or archive is None:
            return earlier
    md5 = archive_hash(archive) if archive else official_md5
    return make_builder(cls, ArchiveConfig(name=md5, archive=archive), data_dir)


def archive_hash(archive: Path) -> str:
    """Return the md5 of an archive, or of the names and contents of all files in a folder."""
    if not archive.is_dir():
        return file_hash(archive)
    digest = hashlib.md5()
    for path in files_below(archive):
        line = f"{path.relative_to(archive).as_posix()} {file_hash(path)}\n"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def prepared_before(builder: tfds.core.GeneratorBasedBuilder) -> str | None:
    """Return the md5 of the archive whose records were prepared last where `builder` would write its own."""
    version = Path(builder.data_path)
    folders = [folder for folder in version.parents[1].glob(f"*/{version.name}") if folder.is_dir()]
    latest = max(folders, key=lambda folder: folder.stat().st_mtime, default=None)
    return latest.parent.name if latest else None


def prepare(builder: tfds.core.GeneratorBasedBuilder) -> None:
    """Write the records of a builder, unless they exist.

    tfds writes into a folder named `incomplete.…` and renames it at the end, so an interrupted preparation
    leaves nothing that looks complete. Processes that prepare the same data wait for the first one. Raises
    `UserError` if the records cannot be written.
    """
    if not builder.is_prepared():
        _write(builder)
    # Another process may have written them after this builder was made.
    builder.info.read_from_directory(builder.data_path)


def _write(builder: tfds.core.GeneratorBasedBuilder) -> None:
    folder = Path(builder.data_path)
    try:
        with locked(folder, f"Waiting for another process that prepares {folder}"):
            if builder.is_prepared():  # by the other process
                return
            print(f"Preparing {builder.name} in {folder}", flush=True)
            with _quiet():
                builder.download_and_prepare()
    except (OSError, RuntimeError) as error:  # array_record raises RuntimeError on a full disk
        raise UserError(
            f"cannot write prepared data to {folder}: {reason(error)}; choose another folder with --data-dir"
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the messages of tfds, which address authors of builders."""
    absl_logging.set_verbosity(absl_logging.ERROR)
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):
        yield
