"""The images of a run, and the names of their classes."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Int

from jaxcolor.data.classes import VOC_CLASSES, Classes, numbered_classes, read_classes
from jaxcolor.data.examples import Examples, count_labels
from jaxcolor.data.label_maps import VOID, LabelFormat
from jaxcolor.data.shapes import SHAPES, ShapeImages
from jaxcolor.data.voc import PreparedVoc, RecordExamples, is_available, last_prepared, load_voc
from jaxcolor.data.voc_examples import VocExamples, open_folder
from jaxcolor.data.voc_layout import VocLayout, split_names
from jaxcolor.errors import UserError
from jaxcolor.files import write_atomically
from jaxcolor.segmentation.config import SegmentConfig
from jaxcolor.segmentation.survey import MaskFiles, Survey, binary, binary_problem, palette_conflict, survey
from jaxcolor.training.run_folder import RunFolder

NO_VOC = """\
┌──────────────────────────────────────────────────────────────────────────────┐
│ PASCAL VOC IS NOT HERE and cannot be downloaded now: training on the         │
│ built-in SAMPLE, generated shapes. Its scores say nothing about VOC.         │
│ With the data at hand: --archive VOCtrainval_11-May-2012.tar, or --voc-dir   │
└──────────────────────────────────────────────────────────────────────────────┘"""
# The names of VOC's images. Numbers of six digits, as in 2007, are too common.
VOC_NAME = re.compile(r"20(07|08|09|10|11|12)_\d{6}")
SPLIT_FOLDER = "split"  # in the run folder, for the lists that --split makes

Source = VocLayout[Path] | PreparedVoc
Names = tuple[list[str], list[str]]  # of the train and of the validation images


@dataclass(frozen=True)
class Dataset:
    """Train and validation examples, the names of the classes, and their description in config.json.

    `counted` is the number of training pixels per label, if it is known.
    """

    train: Examples
    validation: Examples
    classes: tuple[str, ...]
    facts: dict[str, Any]
    counted: Int[np.ndarray, " 256"] | None = None
    new_split: Names | None = None

    @cached_property
    def train_labels(self) -> Int[np.ndarray, " 256"]:
        """The number of training pixels per label."""
        return count_labels(self.train) if self.counted is None else self.counted

    @cached_property
    def void_share(self) -> float:
        """The share of the training pixels that are void."""
        return float(self.train_labels[VOID] / self.train_labels.sum())

    @property
    def is_voc(self) -> bool:
        """Whether the classes are those of Pascal VOC."""
        return self.classes == VOC_CLASSES

    def write_split(self, folder: Path) -> None:
        """Write the lists of names that --split made into the folder of a new run."""
        for split, names in zip(("train", "val"), self.new_split or (), strict=False):
            write_atomically(folder / SPLIT_FOLDER / f"{split}.txt", partial(_write_lines, names))


def load_dataset(config: SegmentConfig, earlier: RunFolder | None = None) -> Dataset:
    """Load the data that the settings name. `earlier` is the run to resume or read, or None.

    The files of a new run are all read once, and a line is printed for what is unusual in them. Raises
    `UserError` if the data are not available or not usable.
    """
    facts = earlier.read_config()["dataset"] if earlier else None
    name, source = open_source(config, facts)
    if source is None:
        sample = ShapeImages("train"), ShapeImages("validation")
        return Dataset(*sample, SHAPES, describe(config, name, *sample, SHAPES))
    names = choose_names(source, config, earlier)
    given = read_classes(config.classes) if config.classes is not None and not facts else None
    label_format = LabelFormat(VOID, given.colors if given else ())
    if facts:
        label_format = LabelFormat.from_facts(len(facts["classes"]), facts)
    train, validation = (examples_of(source, part, label_format) for part in names)
    counted = new_split = None
    if facts:
        classes = tuple(facts["classes"])
    else:
        surveys = survey(train), survey(validation)
        check(surveys)
        classes, label_format = choose_classes(given, (train, validation), surveys)
        if label_format.binary:
            surveys = binary(surveys[0]), binary(surveys[1])
        warn(dict(zip(("training", "validation"), surveys, strict=True)), classes, label_format)
        train, validation = train.with_format(label_format), validation.with_format(label_format)
        counted = surveys[0].pixels
        new_split = names if config.split else None
    described = describe(config, name, train, validation, classes) | label_format.facts
    if isinstance(source, PreparedVoc):
        described["archive_md5"] = source.md5
    return Dataset(train, validation, classes, described, counted, new_split)


def describe(
    config: SegmentConfig, name: str, train: Examples, validation: Examples, classes: Sequence[str]
) -> dict[str, Any]:
    """Return the entries of the data in config.json."""
    return {
        "name": name,
        "requested": config.dataset,
        "train": len(train),
        "validation": len(validation),
        "classes": list(classes),
        "fingerprints": [train.fingerprint, validation.fingerprint],
    }


def open_source(config: SegmentConfig, facts: dict[str, Any] | None) -> tuple[str, Source | None]:
    """Return the name of the data, and their files, or None for the sample."""
    if config.voc_dir:
        return config.voc_dir.resolve().name, open_folder(config.voc_dir)
    md5 = facts.get("archive_md5") if facts else None
    name: str = config.dataset
    if name == "auto" and not config.archive:
        name = "voc"
        if not is_available(config.data_dir):
            md5 = last_prepared(config.data_dir)
            name = "voc" if md5 else "sample"
            if md5:
                print(
                    f"VOC cannot be downloaded now: using the archive with md5 {md5}, prepared earlier",
                    flush=True,
                )
            else:
                print(NO_VOC, file=sys.stderr, flush=True)
    if name == "sample":
        return name, None
    return "voc", load_voc(config.archive, config.data_dir, md5)


def choose_names(source: Source, config: SegmentConfig, earlier: RunFolder | None) -> Names:
    """Return the names of the train and validation images: from lists, or from --split."""
    if not config.split:
        train, validation = source.names(config.train_split), source.names("val")
        if not earlier:
            warn_of_shared_names(train, validation, config.train_split)
        return train, validation
    lists = [earlier.path / SPLIT_FOLDER / f"{split}.txt" for split in ("train", "val")] if earlier else []
    if lists and all(file.is_file() for file in lists):
        train, validation = (file.read_text("utf-8").rstrip("\n").split("\n") for file in lists)
        return train, validation
    if "val" in source.lists:
        if "train" in source.lists:
            raise UserError("the data have the lists train.txt and val.txt already: leave out --split")
        advice = (
            "add --train-split trainval" if "trainval" in source.lists else "list the others in train.txt"
        )
        raise UserError(f"the data have the list val.txt already: leave out --split, and {advice}")
    return split_names(source.all_names(), config.split, config.seed)


def examples_of(source: Source, names: list[str], label_format: LabelFormat) -> MaskFiles:
    """Return the examples with these names."""
    if isinstance(source, PreparedVoc):
        return RecordExamples(source, names, label_format)
    return VocExamples(source, names, label_format)


def check(surveys: Sequence[Survey]) -> None:
    """Raise `UserError` if a file cannot be read, and if a split is all void."""
    problems = [problem for found in surveys for problem in found.problems]
    if problems:
        others = f" (and {len(problems) - 1} other files: --inspect lists them)" if problems[1:] else ""
        raise UserError(problems[0] + others)
    for split, found in zip(("train", "validation"), surveys, strict=True):
        if not found.pixels[:VOID].any():
            raise UserError(f"all pixels of the {split} masks are void, {VOID}")


def choose_classes(
    given: Classes | None, examples: Sequence[MaskFiles], surveys: Sequence[Survey]
) -> tuple[tuple[str, ...], LabelFormat]:
    """Return the names of the classes and the format of the masks. Raises `UserError` if they do not fit.

    Masks with the values 0 and 255 alone are binary. Without --classes, VOC's names are for VOC's images.
    """
    labels: set[int] = set().union(*(found.labels for found in surveys))
    names, colors = given or (None, ())
    if not colors:
        if problem := binary_problem(surveys, names):
            raise UserError(problem)
        if labels == {0, VOID}:
            names = names or numbered_classes(2)
            print(f"the masks have the values 0 and 255 only: 0 is {names[0]!r}, and 255 is {names[1]!r}")
            return names, LabelFormat(2, binary=True)
    highest = max(labels - {VOID})
    if names is None:
        are_voc = all(VOC_NAME.fullmatch(name) for part in examples for name in part.names)
        if are_voc and highest < len(VOC_CLASSES):
            names = VOC_CLASSES
        else:
            names = numbered_classes(max(2, highest + 1))
            print(f"the masks have labels up to {highest}: {names[0]} to {names[-1]} (--classes names them)")
    if highest >= len(names):
        where = next(found.example[highest] for found in surveys if highest in found.labels)
        raise UserError(
            f"the mask {where} has label {highest}, but there are {len(names)} classes, 0 to "
            f"{len(names) - 1}, and void, {VOID}: --classes must name those up to {highest}, too"
        )
    return names, LabelFormat(len(names), colors)


def warn(surveys: Mapping[str, Survey], classes: Sequence[str], label_format: LabelFormat) -> None:
    """Print a line for what is likely to be a mistake in the data. `surveys` are those of each split."""
    for split, found in surveys.items():
        masks = "mask" if split == "all" else f"{split} mask"
        if missing := found.missing(classes):
            shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} others" if missing[5:] else "")
            noun = "the classes " if missing[1:] else "the class "
            noun = "" if shown.startswith("class ") else noun  # as numbered classes do
            print(f"warning: no {masks} has {noun}{shown}", file=sys.stderr, flush=True)

    conflict = palette_conflict(list(surveys.values()))
    if conflict and not label_format.colors:
        print(
            f"warning: the palettes of the masks differ: {conflict}; the numbers are the labels (with colors "
            "in the file of --classes, the colors are)",
            file=sys.stderr,
            flush=True,
        )


def warn_of_shared_names(train: Sequence[str], validation: Sequence[str], split: str = "train") -> None:
    """Print a line if images are in both lists. `split` is the list of the training images."""
    if shared := sorted(set(train) & set(validation)):
        print(
            f"warning: {split}.txt and val.txt share {len(shared)} of their images, {shared[0]} among them: "
            "the validation scores are too good",
            file=sys.stderr,
            flush=True,
        )


def _write_lines(lines: Sequence[str], file: IO[bytes]) -> None:
    file.write("".join(f"{line}\n" for line in lines).encode())
