"""The report as Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MB, GB = 1e6, 1e9
Results = dict[str, Any]  # what a part has measured, as plain values that JSON can hold


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table: the first column to the left, the others to the right."""
    rules = [":--", *["--:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(map(str, cells)) + " |" for cells in (header, rules, *rows))


def picture(name: str, caption: str) -> str:
    """A picture that lies beside the report."""
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
    pictures = " ".join(str(data[key]) for key in ("name", "category") if key in data)
    parts = "\n\n".join(
        [
            "# The assignment's questions, answered by running code",
            f"Every figure comes from a network that was traced, trained or compiled by "
            f"`python experiments/analyze.py`, on {record['device']} with JAX {versions['jax']}; pictures: "
            f"{pictures}, {data['train']:,} to train on and {data['validation']:,} for validation.",
            *(f"## {section.title}\n\n{section.text}" for section in sections),
            "## Time",
            table(["part", "trainings", "time"], rows),
        ]
    )
    return parts + "\n"


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
