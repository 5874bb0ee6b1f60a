"""Programs that take turns, and what their times come to.

Machines are noisy and shared, so that no time says much alone: every round times all programs, one right
after the other, and what is compared are the medians over the rounds.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.status import status

Times = dict[str, list[float]]  # seconds of each round, by program


@dataclass(frozen=True)
class Summary:
    """The middle half of some values."""

    median: float
    low: float  # first quartile
    high: float  # third quartile


@dataclass(frozen=True)
class Speedup:
    """A ratio of two programs' speeds, and its range over the rounds."""

    ratio: float
    low: float
    high: float


def take_turns(
    programs: Mapping[str, Callable[[], object]],
    rounds: int,
    warm_up: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> Times:
    """Run every program once a round, in the same order; the first `warm_up` rounds do not count."""
    times: Times = {name: [] for name in programs}
    for number in range(warm_up + rounds):
        for name, program in programs.items():
            with status(f"round {number + 1} of {warm_up + rounds}: {name}"):
                start = clock()
                program()
                seconds = clock() - start
            if number >= warm_up:
                times[name].append(seconds)
    return times


def summarize(values: Sequence[float]) -> Summary:
    """Median and quartiles of at least one value."""
    if len(values) == 1:
        return Summary(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Summary(median, low, high)


def best(times: Times, among: Sequence[str]) -> str:
    """The program with the smallest median."""
    return min(among, key=lambda name: statistics.median(times[name]))


def speedup(times: Times, ours: str, theirs: str) -> Speedup:
    """How many times as fast `ours` is: the ratio of the medians, and the smallest and largest of a round."""
    ratios = [b / a for a, b in zip(times[ours], times[theirs], strict=True)]
    ratio = statistics.median(times[theirs]) / statistics.median(times[ours])
    return Speedup(ratio, min(ratios), max(ratios))
