"""Prepare the records of a tensorflow-datasets builder, once per machine."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import tensorflow_datasets as tfds
from absl import logging as absl_logging

from jaxcolor.errors import UserError, reason
from jaxcolor.files import locked

Builder = TypeVar("Builder", bound=tfds.core.GeneratorBasedBuilder)


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


def prepare(builder: tfds.core.GeneratorBasedBuilder) -> None:
    """Write the records of a builder, unless they exist.

    tfds writes into a folder named `incomplete.…` and renames it at the end, so an interrupted preparation
    leaves nothing that looks complete. Processes that prepare the same data wait for the first one. Raises
    `UserError` if the records cannot be written.
    """
    if builder.is_prepared():
        return
    folder = Path(builder.data_path)
    try:
        with locked(folder, f"Waiting for another process that prepares {folder}"):
            if builder.is_prepared():  # by the other process
                builder.info.read_from_directory(builder.data_path)
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
