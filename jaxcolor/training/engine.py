"""Running a step over the batches of an epoch: the one place for jit, donation and the device.

Both tasks train and evaluate with `Engine`. A data set that fits on the device stays there, and a batch names
the images by their indices; otherwise batches hold arrays that arrive one by one. A GPU runs many steps per
call, because it would wait for Python between short ones. A CPU runs one step per call, because XLA compiles
convolutions inside a loop into slower code there.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import jax
import numpy as np
from jaxtyping import Array

from jaxcolor.layers.conv.cpu import whole_batches
from jaxcolor.training.batches import Batches
from jaxcolor.training.devices import Devices
from jaxcolor.training.programs import Program
from jaxcolor.training.state import TrainState

Batch: TypeAlias = dict[str, Any]  # arrays [batch, …]; "valid" [batch] is 0 for padding, or None
Sums: TypeAlias = dict[str, Array]  # values that add up over batches
Totals: TypeAlias = dict[str, Any]  # sums on the host, in float64
Step: TypeAlias = Callable[[TrainState, Batch], tuple[TrainState, Sums]]
OnStep: TypeAlias = Callable[[int, Totals], None]  # the number of images, and the sums over them
STEPS_IN_FLIGHT = 2


@dataclass(frozen=True)
class Midway:
    """Where an epoch goes on that was interrupted, and what saves the state after every few steps of it."""

    steps: int = 0  # that are done
    totals: Totals = field(default_factory=dict)  # the sums over them
    every: int | None = None
    save: Callable[[TrainState, int, Totals], None] = lambda state, steps, totals: None

    def is_due(self, before: int, now: int) -> bool:
        """Return whether the state is to be saved, after calls that end at these numbers of steps."""
        return self.every is not None and before // self.every < now // self.every


WHOLE_EPOCH = Midway()


def steps_per_call() -> int:
    """Return how many steps one call runs on this device."""
    return 1 if jax.default_backend() == "cpu" else 50


def keep_state(evaluate_step: Callable[[TrainState, Batch], Sums]) -> Step:
    """Turn an evaluation step into a step that returns the state unchanged."""
    return lambda state, batch: (state, evaluate_step(state, batch))


class Engine:
    """A compiled step, and the loop that runs it over all batches of an epoch.

    With `donate` the state that is passed in cannot be used afterwards. Several `devices` share each batch.
    """

    def __init__(
        self, step: Step, *, donate: bool = True, steps: int | None = None, devices: Devices | None = None
    ):
        self.steps = steps or steps_per_call()
        self.devices = devices or Devices(1)

        def run(state: TrainState, data: Mapping[str, Array], batch: Batch) -> tuple[TrainState, Sums]:
            batch = self.devices.keep_divided(gather(data, batch))
            with whole_batches() if self.devices.count > 1 else nullcontext():
                return self.devices.keep_copied(step(state, batch))

        def run_many(state: TrainState, data: Mapping[str, Array], rows: Batch) -> tuple[TrainState, Sums]:
            # With a loop whose length is known at compile time a GPU need not ask the host whether to go on.
            return jax.lax.scan(lambda state, row: run(state, data, row), state, rows)

        donated = (0,) if donate else ()
        self._run = Program(run, donate_argnums=donated)
        self._run_many = Program(run_many, donate_argnums=donated)

    def compile_ahead(self, state: TrainState, batches: Batches, data: Mapping[str, Any]) -> None:
        """Start to compile the step on a thread. `state` and `data` are arrays or their shapes."""
        run = self._run_many if self.steps > 1 else self._run
        run.compile_ahead(state, data, next(calls(batches, self.steps)))

    def compiled_text(self, state: TrainState, data: Mapping[str, Array], batch: Batch) -> str:
        """Return the compiled program of one step, as XLA writes it."""
        return self._run.jitted.lower(state, data, batch).compile().as_text()

    def __call__(
        self,
        state: TrainState,
        batches: Batches | Iterable[Batch],
        data: Mapping[str, Array] | None = None,
        on_step: OnStep = lambda images, sums: None,
        midway: Midway = WHOLE_EPOCH,
    ) -> tuple[TrainState, Totals]:
        """Run all batches, and return the state and the sums over the batches.

        With `data`, the data set on the device, `batches` holds indices into its arrays. `on_step` is called
        once per call of the compiled program, a little later than the device finishes it. With `midway`,
        `batches` are those after its steps.
        """
        totals, steps = dict(midway.totals), midway.steps
        in_flight: deque[tuple[int, bool, Sums]] = deque()

        def collect() -> None:
            images, many, sums = in_flight.popleft()
            latest = {name: np.asarray(values, np.float64)[()] for name, values in sums.items()}
            if many:
                latest = {name: values.sum(axis=0) for name, values in latest.items()}
            for name, value in latest.items():
                totals[name] = totals.get(name, 0.0) + value
            on_step(images, latest)

        many = self.steps > 1 and isinstance(batches, Batches)
        run = self._run_many if many else self._run
        for batch in calls(batches, self.steps) if isinstance(batches, Batches) else batches:
            placed = batch if "indices" in batch else self.devices.divide(batch)
            state, sums = run(state, data or {}, placed)
            images = count_images(batch) * (1 if "indices" in batch else jax.process_count())
            in_flight.append((images, many, sums))
            if len(in_flight) > STEPS_IN_FLIGHT:
                collect()
            before, steps = steps, steps + (len(batch["indices"]) if many else 1)
            if midway.is_due(before, steps):
                while in_flight:
                    collect()
                midway.save(state, steps, totals)
        while in_flight:
            collect()
        return state, totals


def calls(batches: Batches, steps: int) -> Iterator[Batch]:
    """Yield the indices and padding flags of each call: of one step, or one row per step."""
    indices, valid = batches
    for start in range(0, len(indices), steps):
        part = start if steps == 1 else slice(start, start + steps)
        yield {"indices": indices[part], "valid": None if valid is None else valid[part]}


def gather(data: Mapping[str, Array], batch: Batch) -> Batch:
    """Return a batch with arrays in place of indices into `data`."""
    rest = {name: value for name, value in batch.items() if name != "indices"}
    return {name: array[batch["indices"]] for name, array in data.items()} | rest


def count_images(batch: Batch) -> int:
    """Return how many images a batch holds besides padding."""
    return batch["indices"].size if batch["valid"] is None else round(float(np.sum(batch["valid"])))
