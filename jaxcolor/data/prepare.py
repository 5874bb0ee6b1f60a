"""Prepare a tensorflow-datasets builder: quietly, once, and completely or not at all."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import tensorflow_datasets as tfds
from absl import logging as absl_logging
from filelock import FileLock, Timeout

from jaxcolor.errors import UserError, reason

Builder = TypeVar("Builder", bound=tfds.core.GeneratorBasedBuilder)


def make_builder(cls: type[Builder], config: tfds.core.BuilderConfig, data_dir: Path | None) -> Builder:
    """Return a builder that needs no TensorFlow (array_record files). `data_dir` None is tfds's folder."""
    try:
        with _quiet():
            return cls(config=config, data_dir=data_dir, file_format="array_record")
    except OSError as error:
        raise UserError(f"cannot use the data folder {data_dir or 'of tfds'}: {reason(error)}") from error


def prepare(builder: tfds.core.GeneratorBasedBuilder) -> None:
    """Write the builder's records, unless a finished preparation exists.

    tfds writes into a folder named `incomplete.…` and renames it at the end, so a preparation that was killed
    starts again. Several processes prepare the same data once. Raises `UserError`.
    """
    if builder.is_prepared():
        return
    folder = Path(builder.data_path)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.parent / f".{folder.name}.lock")
        with _acquired(lock, f"Waiting for another process that prepares {folder}"):
            if builder.is_prepared():  # by the other process
                builder.info.read_from_directory(builder.data_path)
                return
            print(f"Preparing {builder.name} in {folder}", flush=True)
            with _quiet():
                builder.download_and_prepare()
    except (OSError, RuntimeError) as error:  # array_record raises RuntimeError if a disk is full
        raise UserError(f"cannot write prepared data to {folder}: {reason(error)}") from error


@contextlib.contextmanager
def _acquired(lock: FileLock, message: str) -> Iterator[None]:
    """Hold a lock. Print the message if another process holds it."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(message, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep tfds's messages, which are for authors of builders, off the terminal."""
    absl_logging.set_verbosity(absl_logging.ERROR)
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):
        yield
