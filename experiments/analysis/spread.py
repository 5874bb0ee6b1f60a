"""Some runs of one kind, as a mean and a spread."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Spread(NamedTuple):
    """The mean of some values, the lowest and the highest."""

    mean: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Mean, lowest and highest of the values of runs that differ in their seed."""
    return Spread(float(np.mean(values)), float(np.min(values)), float(np.max(values)))


def means_of(seeds: int) -> str:
    """The sentence above a table of `show`."""
    return f"{seeds} seeds each: mean (lowest–highest)." if seeds > 1 else "A single seed."


def show(values: Sequence[float], digits: int = 3, percent: bool = False) -> str:
    """`1.354 (1.344–1.362)`: the mean, and the ends where there is more than one value."""
    factor, unit = (100, " %") if percent else (1, "")
    mean, low, high = (f"{factor * value:.{digits}f}" for value in spread(values))
    return f"{mean}{unit} ({low}–{high})" if len(values) > 1 else f"{mean}{unit}"
