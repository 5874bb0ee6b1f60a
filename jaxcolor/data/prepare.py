"""Preparing a tensorflow-datasets builder: quietly, once, and completely or not at all."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import tensorflow_datasets as tfds
from absl import logging as absl_logging

from jaxcolor.errors import UserError, reason

Builder = TypeVar("Builder", bound=tfds.core.GeneratorBasedBuilder)


def make_builder(cls: type[Builder], config: tfds.core.BuilderConfig, data_dir: Path | None) -> Builder:
    """A builder that needs no TensorFlow (array_record files); `data_dir` None is tfds's own folder."""
    try:
        with _quiet():
            return cls(config=config, data_dir=data_dir, file_format="array_record")
    except OSError as error:
        raise UserError(f"cannot use the data folder {data_dir or 'of tfds'}: {reason(error)}") from error


def prepare(builder: tfds.core.GeneratorBasedBuilder) -> None:
    """Write the builder's records, unless a finished preparation is there already.

    tfds writes into a folder named `incomplete.…` and renames it at the end, so that a preparation
    that was killed is made again from the start.
    """
    if builder.is_prepared():
        return
    print(f"Preparing {builder.name} in {builder.data_path}", flush=True)
    try:
        with _quiet():
            builder.download_and_prepare()
    except (OSError, RuntimeError) as error:  # array_record raises the latter where a disk is full
        raise UserError(f"cannot write prepared data to {builder.data_path}: {reason(error)}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what tfds prints, addressed to authors of builders, off the terminal."""
    absl_logging.set_verbosity(absl_logging.ERROR)
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):
        yield
