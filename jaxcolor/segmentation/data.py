"""The images of a run, and the names of their classes."""

import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Int

from jaxcolor.data.classes import VOC_CLASSES, read_classes
from jaxcolor.data.examples import VOID, Examples, count_labels
from jaxcolor.data.shapes import SHAPES, ShapeImages
from jaxcolor.data.voc import is_available, load_voc
from jaxcolor.data.voc_folder import VocFolder
from jaxcolor.errors import UserError
from jaxcolor.segmentation.config import SegmentConfig

NO_VOC = """\
┌──────────────────────────────────────────────────────────────────────────────┐
│ PASCAL VOC IS NOT HERE and cannot be downloaded now: training on the         │
│ built-in SAMPLE, generated shapes. Its scores say nothing about VOC.         │
│ With the data at hand: --archive VOCtrainval_11-May-2012.tar, or --voc-dir   │
└──────────────────────────────────────────────────────────────────────────────┘"""


@dataclass(frozen=True)
class Dataset:
    """Train and validation examples, the names of the classes, and their description in config.json."""

    train: Examples
    validation: Examples
    classes: tuple[str, ...]
    facts: dict[str, Any]

    @cached_property
    def train_labels(self) -> Int[np.ndarray, " 256"]:
        """The number of training pixels per label."""
        return count_labels(self.train)

    def check(self) -> None:
        """Read every file once. Raises `UserError` for a broken file, and if a split is all void."""
        if isinstance(self.train, ShapeImages):
            return  # generated, not read
        for split, labels in (("train", self.train_labels), ("val", count_labels(self.validation))):
            if not labels[:VOID].any():
                raise UserError(f"all pixels of the {split} label maps of {self.facts['name']} are void")


def load_dataset(config: SegmentConfig) -> Dataset:
    """Load the data that the settings name. Raises `UserError` if it is not available."""
    name: str = config.dataset
    if name == "auto" and not (config.voc_dir or config.archive):
        name = "voc" if is_available(config.data_dir) else "sample"
        if name == "sample":
            print(NO_VOC, file=sys.stderr, flush=True)
    classes = read_classes(config.classes) if config.classes else VOC_CLASSES
    train: Examples
    validation: Examples
    if config.voc_dir:
        name = config.voc_dir.name
        train = VocFolder(config.voc_dir, config.train_split, len(classes))
        validation = VocFolder(config.voc_dir, "val", len(classes))
    elif name == "sample":
        classes = SHAPES
        train, validation = ShapeImages("train"), ShapeImages("validation")
    else:
        name = "voc"
        train, validation, _ = load_voc(config.train_split, len(classes), config.archive, config.data_dir)
    facts = {
        "name": name,
        "requested": config.dataset,
        "train": len(train),
        "validation": len(validation),
        "classes": list(classes),
        "fingerprints": [train.fingerprint, validation.fingerprint],
    }
    return Dataset(train, validation, classes, facts)
