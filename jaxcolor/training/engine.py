"""Running a pure step over an epoch: the one place for jit, donation and the device.

The data set lies on the device; a call is handed only the indices of its images. A GPU runs many
steps a call, since it would wait for Python between short ones. A CPU runs one, because XLA compiles
convolutions inside a loop into slower code there.
"""

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

import jax
import numpy as np
from jaxtyping import Array

from jaxcolor.training.batches import Batches
from jaxcolor.training.compilation import jit
from jaxcolor.training.state import TrainState

Batch: TypeAlias = dict[str, Any]  # arrays of the data set, each [batch, …], and "mask" [batch] or None
Sums: TypeAlias = dict[str, Array]  # scalars that add up over batches, "count" among them
Totals: TypeAlias = dict[str, Any]  # the same on the host; arrays for a step of several states at once
Step: TypeAlias = Callable[[TrainState, Batch], tuple[TrainState, Sums]]
STEPS_IN_FLIGHT = 2


def steps_per_call() -> int:
    """How many steps one call runs on this machine's device."""
    return 1 if jax.default_backend() == "cpu" else 50


def keeping_state(evaluate_step: Callable[[TrainState, Batch], Sums]) -> Step:
    """An evaluation step as a step that leaves the state as it is."""
    return lambda state, batch: (state, evaluate_step(state, batch))


class EpochRunner:
    """A compiled step, and the way to run it over all batches of an epoch."""

    def __init__(self, step: Step, donate: bool = True, steps: int | None = None):
        self.steps = steps or steps_per_call()
        run = partial(_run_one if self.steps == 1 else _run_many, step)
        self._call = jit(run, donate_argnums=0 if donate else ())

    def __call__(
        self,
        state: TrainState,
        data: dict[str, Array],
        batches: Batches,
        on_progress: Callable[[int, Totals], None] = lambda done, sums: None,
    ) -> tuple[TrainState, Totals]:
        """The state after all batches, and the sums over them.

        With `donate` the state that comes in is used up. `on_progress` hears, a little behind the
        device, how many steps are done and what the latest of them added up to.
        """
        totals: Totals = {}
        in_flight: deque[tuple[int, Sums]] = deque()

        def collect() -> None:
            steps, sums = in_flight.popleft()
            latest = {name: np.asarray(values, np.float64)[()] for name, values in sums.items()}
            if self.steps > 1:
                latest = {name: values.sum(axis=0) for name, values in latest.items()}
            for name, value in latest.items():
                totals[name] = totals.get(name, 0.0) + value
            on_progress(steps, latest)

        for steps, indices, mask in _calls(batches, self.steps):
            state, sums = self._call(state, data, indices, mask)
            in_flight.append((steps, sums))
            if len(in_flight) > STEPS_IN_FLIGHT:
                collect()
        while in_flight:
            collect()
        return state, totals


def _calls(batches: Batches, steps: int) -> Iterator[tuple[int, np.ndarray, np.ndarray | None]]:
    """The steps of each call, fewer in the last one, and their indices and mask: of one, or a row each."""
    indices, mask = batches
    for start in range(0, len(indices), steps):
        part = start if steps == 1 else slice(start, start + steps)
        yield min(steps, len(indices) - start), indices[part], None if mask is None else mask[part]


def _take(data: dict[str, Array], indices: Array, mask: Array | None) -> Batch:
    return {name: array[indices] for name, array in data.items()} | {"mask": mask}


def _run_one(
    step: Step, state: TrainState, data: dict[str, Array], indices: Array, mask: Array | None
) -> tuple[TrainState, Sums]:
    return step(state, _take(data, indices, mask))


def _run_many(
    step: Step, state: TrainState, data: dict[str, Array], indices: Array, mask: Array | None
) -> tuple[TrainState, Sums]:
    """A step a row of `indices`, in one call; the sums have a row a step."""
    # Of a loop whose end is known while compiling, a GPU need not ask its host whether to go on.
    return jax.lax.scan(lambda state, rows: step(state, _take(data, *rows)), state, (indices, mask))
