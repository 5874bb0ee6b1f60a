"""The images of a run, and the arrays that its network trains on."""

import hashlib
import sys
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, UInt8

from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.colorization.palette import Palette, nearest_color
from jaxcolor.colorization.preprocess import network_input
from jaxcolor.data.cifar10 import is_available, last_prepared, load_cifar10
from jaxcolor.data.photographs import load_sample
from jaxcolor.errors import UserError
from jaxcolor.training.run_folder import RunFolder

NO_CIFAR10 = """\
┌──────────────────────────────────────────────────────────────────────────────┐
│ CIFAR-10 IS NOT HERE and cannot be downloaded now: training on the built-in  │
│ SAMPLE, patches of eight photographs. Its scores say nothing about CIFAR-10. │
│ With the archive at hand: --archive cifar-10-binary.tar.gz                   │
└──────────────────────────────────────────────────────────────────────────────┘"""


@dataclass(frozen=True)
class Dataset:
    """Train and validation images, and their description in config.json."""

    train: UInt8[np.ndarray, "train height width 3"]
    validation: UInt8[np.ndarray, "validation height width 3"]
    facts: dict[str, Any]


class LabeledImages(NamedTuple):
    """Images, and the palette index of each pixel."""

    images: UInt8[np.ndarray, "n height width 3"]
    labels: UInt8[np.ndarray, "n height width"]


def load_dataset(config: ColorizeConfig, earlier: RunFolder | None = None) -> Dataset:
    """Load the images that the settings name. `earlier` is the run to resume or read, or None.

    Raises `UserError` if the images are not available.
    """
    name = config.dataset
    md5 = earlier.read_config()["dataset"].get("archive_md5") if earlier else None
    if name == "auto":
        available = config.archive is not None or is_available(config.data_dir)
        if not available and (md5 := last_prepared(config.data_dir)):
            print(f"CIFAR-10 cannot be downloaded now: using the archive with md5 {md5}, prepared earlier")
            available = True
        name = "cifar10" if available else "sample"
        if not available and config.category not in ("horse", "all"):
            raise UserError(
                f"CIFAR-10's {config.category} images cannot be downloaded now, and the built-in sample "
                "has no categories: give a local copy with --archive FILE"
            )
        if not available:
            print(NO_CIFAR10, file=sys.stderr, flush=True)
    if name == "cifar10":
        train, validation, md5 = load_cifar10(config.category, config.archive, config.data_dir, md5)
        facts: dict[str, Any] = {"name": name, "category": config.category, "archive_md5": md5}
    else:
        train, validation = load_sample()
        digest = hashlib.sha256(train.tobytes() + validation.tobytes())
        facts = {"name": name, "images_sha256": digest.hexdigest()}
    facts |= {"requested": config.dataset, "train": len(train), "validation": len(validation)}
    return Dataset(train, validation, facts)


def make_arrays(
    images: UInt8[Array | np.ndarray, "n height width 3"], palette: Palette, downsize_input: bool
) -> dict[str, Array]:
    """Return a split on the device: `inputs` [n, height, width, 1 or 3] and `labels` [n, height, width]."""
    inputs = jax.jit(partial(network_input, downsize_input=downsize_input))(images)
    return {"inputs": inputs, "labels": nearest_color(images, palette)}
