"""The report as Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from jaxcolor.data.cifar10 import OFFICIAL_MD5
from jaxcolor.training.run_folder import on_device

MB, GB = 1e6, 1e9
Results = dict[str, Any]  # measurements, as values that JSON can hold


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table. The first column is left-aligned, the others right-aligned."""
    rules = [":--", *["--:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(map(str, cells)) + " |" for cells in (header, rules, *rows))


def count(number: int, noun: str) -> str:
    """Return a number and a noun: `1 epoch`, `25 epochs`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def image(name: str, caption: str) -> str:
    """Return the Markdown of an image beside the report."""
    return f"![{caption}]({name})"


@dataclass(frozen=True)
class Section:
    """A section of the report, and the time it took."""

    title: str
    text: str
    seconds: float  # without trainings
    trainings: Mapping[str, float]  # seconds by file name

    @property
    def whole(self) -> float:
        """Seconds in total."""
        return self.seconds + sum(self.trainings.values())


def report(record: Mapping[str, Any], sections: Sequence[Section]) -> str:
    """Return the whole report. `record` is the config.json of the folder."""
    versions, data = record["versions"], record["dataset"]
    trainings: dict[str, float] = {}
    for section in sections:
        trainings |= section.trainings
    total = sum(section.seconds for section in sections) + sum(trainings.values())
    rows = [[section.title, len(section.trainings), minutes(section.whole)] for section in sections]
    rows.append(["all, shared trainings once", len(trainings), minutes(total)])
    parts = "\n\n".join(
        [
            "# The assignment's questions, answered by running code",
            f"Every figure comes from a network that was traced, trained or compiled by "
            f"`python experiments/analyze.py`, {on_device(record['device'])} with JAX {versions['jax']}"
            f"{describe_images(data) if data else ''}.",
            *(f"## {section.title}\n\n{section.text}" for section in sections),
            "## Time",
            table(["part", "trainings", "time"], rows),
        ]
    )
    return parts + "\n"


def describe_images(facts: Mapping[str, Any]) -> str:
    """Describe the training images. `facts` are the data set's entries of config.json."""
    name = " ".join(str(facts[key]) for key in ("name", "category") if key in facts)
    numbers = f"{facts['train']:,} for training and {facts['validation']:,} for validation"
    md5 = facts.get("archive_md5", OFFICIAL_MD5)
    source = "" if md5 == OFFICIAL_MD5 else f", from an archive that is not the official one (md5 {md5})"
    return f"; images: {name}, {numbers}{source}"


def minutes(seconds: float) -> str:
    """Return a duration as `12 min 05 s`."""
    whole, rest = divmod(round(seconds), 60)
    return f"{whole} min {rest:02} s" if whole else f"{rest} s"


def size(number: float) -> str:
    """Return bytes with a unit, with three digits."""
    for unit, value in (("GB", GB), ("MB", MB), ("kB", 1e3)):
        if number >= 0.9995 * value:
            return f"{number / value:.3g} {unit}"
    return f"{number:.0f} B"


class Spread(NamedTuple):
    """Mean, lowest and highest value."""

    mean: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Return the spread of values of runs that differ only in their seed."""
    return Spread(float(np.mean(values)), float(np.min(values)), float(np.max(values)))


def means_of(seeds: int) -> str:
    """Return the sentence above a table of `show`."""
    return f"{seeds} seeds each: mean (lowest–highest)." if seeds > 1 else "A single seed."


def show(values: Sequence[float], digits: int = 3, percent: bool = False) -> str:
    """Return `1.354 (1.344–1.362)`: the mean, and lowest and highest of several values."""
    factor, unit = (100, " %") if percent else (1, "")
    mean, low, high = (f"{factor * value:.{digits}f}" for value in spread(values))
    return f"{mean}{unit} ({low}–{high})" if len(values) > 1 else f"{mean}{unit}"
