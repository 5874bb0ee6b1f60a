"""A first look at a split: every file is read once, and labels, palettes and problems are recorded."""

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Int

from jaxcolor.data.examples import Examples
from jaxcolor.data.label_maps import VOID, Color, LabelFormat
from jaxcolor.errors import UserError

MaskFileExamples = TypeVar("MaskFileExamples", bound="MaskFiles")


@runtime_checkable
class MaskFiles(Examples, Protocol):
    """Examples whose label maps are read from mask files."""

    def palette(self, index: int) -> dict[int, Color]:
        """Return the colors of the labels in a palette mask."""

    def with_format(self: MaskFileExamples, label_format: LabelFormat) -> MaskFileExamples:
        """Return the same examples with masks read in another format."""


@dataclass
class Survey:
    """What the files of a split hold."""

    pixels: Int[np.ndarray, " 256"] = field(default_factory=lambda: np.zeros(256, np.int64))  # per label
    masks: Int[np.ndarray, " 256"] = field(default_factory=lambda: np.zeros(256, np.int64))  # with each label
    example: dict[int, str] = field(default_factory=dict)  # per label, the first name whose mask has it
    problems: list[str] = field(default_factory=list)  # one line per file that cannot be read
    palettes: dict[int, tuple[str, Color]] = field(
        default_factory=dict
    )  # per label, its first name and color
    conflict: str | None = None  # the first two masks whose palettes differ
    label_sets: set[frozenset[int]] = field(default_factory=set)  # the labels that occur in one mask

    @property
    def labels(self) -> set[int]:
        """The labels that occur, `VOID` among them."""
        return set(np.flatnonzero(self.pixels).tolist())

    def missing(self, classes: Sequence[str]) -> list[str]:
        """Return the names of the classes that no mask has."""
        return [name for label, name in enumerate(classes) if not self.pixels[label]]

    def void_share(self) -> float:
        """Return the share of the pixels that are void."""
        return float(self.pixels[VOID] / max(1, self.pixels.sum()))


def binary(found: Survey) -> Survey:
    """Return the survey of binary masks, in which 255 is class 1."""
    change = {0: 0, VOID: 1}
    pixels, masks = np.zeros(256, np.int64), np.zeros(256, np.int64)
    for label, new in change.items():
        pixels[new], masks[new] = found.pixels[label], found.masks[label]
    example = {change[label]: name for label, name in found.example.items()}
    return dataclasses.replace(found, pixels=pixels, masks=masks, example=example)


def binary_problem(surveys: Sequence[Survey], names: Sequence[str] | None) -> str | None:
    """Return what is wrong with masks of 0 and 255, whose classes have these names, or None."""
    labels: set[int] = set().union(*(found.labels for found in surveys))
    if len(names or "01") != 2:
        if labels != {0, VOID}:
            return None
        return (
            "the masks have the values 0 and 255 only, and 255 is void: use --classes 2 if 255 is a class, "
            f"or masks with the labels of the {len(names or ())} classes"
        )
    if labels <= {0, 1, VOID}:
        kinds = set().union(*(found.label_sets for found in surveys))
        # Where 255 is void, it lies around objects.
        if {1, VOID} <= labels and not any({1, VOID} <= kind for kind in kinds):
            return "some masks have the values 0 and 255, and others 0 and 1: use the same values in all"
    pixels = sum((found.pixels for found in surveys), np.zeros(256, np.int64))
    between = sorted(labels - {0, VOID}, reverse=True)
    if between and between[0] >= 128 and 0 < pixels[1:VOID].sum() < 0.2 * pixels[VOID]:
        where = next(found.example[between[0]] for found in surveys if between[0] in found.labels)
        return (
            f"most masks have the values 0 and 255 only, but {where} has {between[0]}, as smoothed masks "
            "have: save binary masks without smoothing, or name all classes with --classes"
        )
    return None


def survey(examples: MaskFiles) -> Survey:
    """Read every example once."""
    found = Survey()

    def read(index: int) -> tuple[np.ndarray, dict[int, Color]] | str:
        try:
            label_map = examples[index].label_map
            return np.bincount(label_map.ravel(), minlength=256), examples.palette(index)
        except UserError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        for index, result in enumerate(pool.map(read, range(len(examples)))):
            if isinstance(result, str):
                found.problems.append(result)
                continue
            pixels, palette = result
            found.pixels += pixels
            found.masks += pixels > 0
            labels = np.flatnonzero(pixels).tolist()
            found.label_sets.add(frozenset(labels))
            for label in labels:
                found.example.setdefault(label, examples.names[index])
            compare_palettes(found, examples.names[index], palette)
    return found


def palette_conflict(surveys: Sequence[Survey]) -> str | None:
    """Return the first two masks whose palettes differ, in one split or between splits, or None."""
    together = Survey()
    for found in surveys:
        if found.conflict:
            return found.conflict
        for label, (name, color) in found.palettes.items():
            compare_palettes(together, name, {label: color})
    return together.conflict


def compare_palettes(found: Survey, name: str, palette: dict[int, Color]) -> None:
    """Record the colors of a mask's labels, and the first label that has another color in an earlier mask."""
    for label, color in palette.items():
        other, earlier = found.palettes.setdefault(label, (name, color))
        if earlier != color and not found.conflict:
            found.conflict = (
                f"label {label} is {_show(earlier)} in the mask {other}, but {_show(color)} in {name}"
            )


def _show(color: Color) -> str:
    return " ".join(map(str, color))
