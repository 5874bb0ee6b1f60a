"""Timing in rounds: programs take turns, and the medians of their times are compared.

Times on shared machines are noisy. Every round therefore runs all programs one right after the other, and the
results are medians over the rounds.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tqdm import tqdm

Times = dict[str, list[float]]  # program → seconds of each round


@dataclass(frozen=True)
class Summary:
    """Median and quartiles of some values."""

    median: float
    low: float  # first quartile
    high: float  # third quartile


@dataclass(frozen=True)
class Speedup:
    """Ratio of the speeds of two programs, and its range over the rounds."""

    ratio: float
    low: float
    high: float


@contextmanager
def status(text: str) -> Iterator[None]:
    """Show a line on the terminal, if there is one, until the block ends."""
    with tqdm(desc=text, bar_format="{desc}", disable=None, leave=False, dynamic_ncols=True):
        yield


def take_turns(
    programs: Mapping[str, Callable[[], object]],
    rounds: int,
    warm_up: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> Times:
    """Run every program once per round, in the same order, and return the seconds of each round.

    `warm_up` rounds come first and are not among the results.
    """
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
    """Return the median and the quartiles of at least one value."""
    if len(values) == 1:
        return Summary(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Summary(median, low, high)


def best(times: Times, among: Sequence[str]) -> str:
    """Return the program with the smallest median."""
    return min(among, key=lambda name: statistics.median(times[name]))


def speedup(times: Times, ours: str, theirs: str) -> Speedup:
    """Return how many times as fast as `theirs` the program `ours` is.

    The ratio is that of the medians; its range is that of the ratios in single rounds.
    """
    ratios = [b / a for a, b in zip(times[ours], times[theirs], strict=True)]
    ratio = statistics.median(times[theirs]) / statistics.median(times[ours])
    return Speedup(ratio, min(ratios), max(ratios))
