"""The report as Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxcolor.data.cifar10 import OFFICIAL_MD5

MB, GB = 1e6, 1e9
Results = dict[str, Any]  # what a part has measured, as plain values that JSON can hold


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table: the first column to the left, the others to the right."""
    rules = [":--", *["--:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(map(str, cells)) + " |" for cells in (header, rules, *rows))


def count(number: int, noun: str) -> str:
    """`1 epoch`, `25 epochs`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def image(name: str, caption: str) -> str:
    """A image that lies beside the report."""
    return f"![{caption}]({name})"


@dataclass(frozen=True)
class Section:
    """A part of the report, and what it took."""

    title: str
    text: str
    seconds: float  # but for trainings
    trainings: Mapping[str, float]  # seconds of each, by file name

    @property
    def whole(self) -> float:
        """Seconds of all that it took."""
        return self.seconds + sum(self.trainings.values())


def report(record: Mapping[str, Any], sections: Sequence[Section]) -> str:
    """All sections, below what they were measured on; `record` is the folder's config.json."""
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
            f"`python experiments/analyze.py`, on {record['device']} with JAX {versions['jax']}"
            f"{describe_images(data) if data else ''}.",
            *(f"## {section.title}\n\n{section.text}" for section in sections),
            "## Time",
            table(["part", "trainings", "time"], rows),
        ]
    )
    return parts + "\n"


def describe_images(facts: Mapping[str, Any]) -> str:
    """What networks were trained on; `facts` are those of config.json."""
    name = " ".join(str(facts[key]) for key in ("name", "category") if key in facts)
    numbers = f"{facts['train']:,} to train on and {facts['validation']:,} for validation"
    md5 = facts.get("archive_md5", OFFICIAL_MD5)
    source = "" if md5 == OFFICIAL_MD5 else f", from an archive that is not the official one (md5 {md5})"
    return f"; images: {name}, {numbers}{source}"


def minutes(seconds: float) -> str:
    """A duration as `12 min 05 s`."""
    whole, rest = divmod(round(seconds), 60)
    return f"{whole} min {rest:02} s" if whole else f"{rest} s"


def size(number: float) -> str:
    """Bytes with a unit, to three digits."""
    for unit, value in (("GB", GB), ("MB", MB), ("kB", 1e3)):
        if number >= 0.9995 * value:
            return f"{number / value:.3g} {unit}"
    return f"{number:.0f} B"
