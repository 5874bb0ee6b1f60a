"""Independent trainings. Equal ones share their compiled programs, and none is done twice.

A finished training is one file in the folder of the analysis. On a GPU, trainings that differ only in their
seed run together, as one program over a stack of states.
"""

import json
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array, Float

from analysis.config import network_name
from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.colorization.data import Dataset, LabeledImages, make_arrays
from jaxcolor.colorization.palette import Palette
from jaxcolor.colorization.predictor import build_network, in_batches
from jaxcolor.colorization.task import batch_loss, evaluate_step, predict, train_step
from jaxcolor.errors import UserError, reason
from jaxcolor.files import write_atomically
from jaxcolor.models import apply_function
from jaxcolor.training.batches import Batches, epoch_order, make_batches
from jaxcolor.training.compilation import jit
from jaxcolor.training.engine import Batch, Engine, keep_state
from jaxcolor.training.progress import Progress
from jaxcolor.training.state import TrainState, create_state

EVALUATION_BATCH = 100  # the same for all runs, so they share the program
LEARNING_RATE = ColorizeConfig.learning_rate


@dataclass(frozen=True)
class Training:
    """The settings of a training. Its inputs are `multiply` · x + `add`.

    It runs for `epochs` and for at least `updates` steps. It is evaluated after each epoch, and after
    `updates` steps.
    """

    model: str
    batch_size: int
    seed: int
    epochs: int
    updates: int
    multiply: float = 1.0
    add: float = 0.0

    @property
    def file_name(self) -> str:
        values = "-".join(
            f"{name}={np.format_float_positional(value, trim='-')}"  # all digits, 2 for 2.0
            for name, value in asdict(self).items()
            if name != "model"
        )
        return f"{self.model}-{values}.npz"

    @property
    def without_seed(self) -> "Training":
        return Training(**asdict(self) | {"seed": 0})

    def marks(self, steps: int) -> list[int]:
        """Return the numbers of updates after which to evaluate, in rising order. `steps` is per epoch."""
        return sorted({steps * epoch for epoch in range(1, self.epochs + 1)} | {self.updates})


class Outcome(NamedTuple):
    """The result of a training."""

    history: list[dict[str, Any]]  # per mark: update, epoch, losses, accuracy, gradient_norms
    variables: dict[str, Any]  # after `epochs`
    seconds: float  # compilation included

    def after(self, *, epoch: float | None = None, update: int | None = None) -> dict[str, Any]:
        """Return the entry of `history` after an epoch, or after an update."""
        return next(entry for entry in self.history if epoch == entry["epoch"] or update == entry["update"])

    def by_epoch(self, epochs: int) -> list[dict[str, Any]]:
        """Return the entries before training and after each of the first `epochs`."""
        return [self.after(epoch=epoch) for epoch in range(epochs + 1)]


class Trainer:
    """Data on the device, compiled programs, and the folder of finished trainings."""

    def __init__(self, images: Dataset, palette: Palette, folder: Path, together: bool | None = None):
        """`together` stacks seeds; the default is True on a GPU.

        On a CPU the convolutions of a stack of kernels are slower than one after the other.
        """
        self.palette = palette
        self.folder = folder
        self.used: dict[str, float] = {}  # seconds of the requested trainings, by file name
        self.spent = 0.0  # seconds of training by this object
        self.together = jax.default_backend() != "cpu" if together is None else together
        self.arrays = {
            name: make_arrays(getattr(images, name), palette, downsize_input=False)
            for name in ("train", "validation")
        }
        self.truth = {
            name: LabeledImages(getattr(images, name), np.asarray(arrays["labels"]))
            for name, arrays in self.arrays.items()
        }
        self._step = Engine(train_step)
        self._steps = Engine(jax.vmap(train_step))
        self._evaluate = Engine(keep_state(evaluate_step), donate=False)
        self._gradient_norms = jit(gradient_norms)
        self._predict = jit(predict)
        self.initial_state = cache(self._initial_state)
        self._network = cache(self._make_network)

    def train(self, trainings: Sequence[Training]) -> list[Outcome]:
        """Return the results of trainings. Those that are not finished are run."""
        missing = [training for training in trainings if not self._is_done(training)]
        total = sum(self._images_of(training) for training in missing)
        with Progress(total, 0) as progress:
            for _, alike in groupby(missing, lambda training: training.without_seed):
                group = list(alike)
                for part in [group] if self.together else [[training] for training in group]:
                    self._run(part, progress)
        trained = [self._read(training) for training in trainings]
        for training, one in zip(trainings, trained, strict=True):
            self.used[training.file_name] = one.seconds
        return trained

    def state(self, model: str, variables: dict[str, Any]) -> TrainState:
        """Return a state with the variables of a training."""
        return self.initial_state(model, 0).replace(**jax.tree.map(jnp.asarray, variables))

    def data(self, split: str, multiply: float = 1.0, add: float = 0.0) -> dict[str, Array]:
        """Return a split on the device, with inputs `multiply` · x + `add`."""
        arrays = self.arrays[split]
        return arrays | {"inputs": multiply * arrays["inputs"] + add}

    def evaluate(self, state: TrainState, data: dict[str, Array]) -> dict[str, float]:
        """Return `val_loss` and `val_accuracy` over images with labels."""
        batches = make_batches(np.arange(len(data["labels"])), EVALUATION_BATCH)
        _, sums = self._evaluate(state, batches, data)
        return {
            "val_loss": float(sums["loss"] / sums["count"]),
            "val_accuracy": float(sums["correct"] / sums["count"]),
        }

    def predict(self, state: TrainState, inputs: Array) -> np.ndarray:
        """Return the most likely palette index of each pixel."""
        return in_batches(partial(self._predict, state), inputs, EVALUATION_BATCH)

    def _run(self, group: list[Training], progress: Progress) -> None:
        """Run trainings that differ only in their seed together, and write their results."""
        start = time.perf_counter()
        shared = group[0]
        train = self.data("train", shared.multiply, shared.add)
        validation = self.data("validation", shared.multiply, shared.add)
        count = len(train["labels"])
        steps = len(make_batches(np.arange(count), shared.batch_size).indices)
        states = [self.initial_state(training.model, training.seed) for training in group]
        look = {name: array[:EVALUATION_BATCH] for name, array in train.items()} | {"valid": None}

        def entry(state: TrainState, update: int, train_loss: float | None) -> dict[str, Any]:
            norms = {name: float(norm) for name, norm in self._gradient_norms(state, look).items()}
            epoch = update / steps
            scores = self.evaluate(state, validation)
            return {"update": update, "epoch": epoch, "train_loss": train_loss} | scores | {
                "gradient_norms": norms
            }  # fmt: skip

        histories = [[entry(state, 0, None)] for state in states]
        kept: list[Any] = []  # variables after the epochs; a step donates its input
        for first, last, batches in self._portions(shared, [t.seed for t in group], count, steps):
            states, losses = self._advance(states, train, batches)
            progress.advance((last - first) * shared.batch_size * len(group))
            if last not in shared.marks(steps):
                continue
            for history, state, loss in zip(histories, states, losses, strict=True):
                history.append(entry(state, last, loss))
                if not np.isfinite(loss):
                    raise UserError(f"the training loss of {shared} became {loss}: this change is too large")
            if last == shared.epochs * steps:
                kept = [jax.device_get(state.variables) for state in states]
        self.spent += time.perf_counter() - start
        seconds = (time.perf_counter() - start) / len(group)
        for training, variables, history in zip(group, kept, histories, strict=True):
            self._write(training, Outcome(history, variables, seconds))
            progress.line(f"{describe(training)}: val_loss {history[-1]['val_loss']:.4f}, {seconds:.1f} s")

    def _portions(
        self, shared: Training, seeds: list[int], count: int, steps: int
    ) -> Iterator[tuple[int, int, Batches]]:
        """Yield the updates up to each mark: the first, the one after the last, and their batches.

        Indices are [steps, seeds, batch].
        """
        marks = shared.marks(steps)
        for epoch in range(-(-marks[-1] // steps)):
            of_seeds = [
                make_batches(epoch_order(count, seed, epoch + 1, "once"), shared.batch_size) for seed in seeds
            ]
            indices = np.stack([batches.indices for batches in of_seeds], axis=1)
            valid = of_seeds[0].valid
            if valid is not None:
                valid = np.stack([valid] * len(seeds), axis=1)
            start, end = epoch * steps, (epoch + 1) * steps
            stops = sorted({min(mark, end) for mark in marks if mark > start})
            for first, last in zip([start, *stops], stops, strict=False):
                part = slice(first - start, last - start)
                yield first, last, Batches(indices[part], None if valid is None else valid[part])

    def _advance(
        self, states: list[TrainState], data: dict[str, Array], batches: Batches
    ) -> tuple[list[TrainState], list[float]]:
        """Return states and mean losses after some updates. Each state has its own batches."""
        if len(states) == 1:
            valid = None if batches.valid is None else batches.valid[:, 0]
            state, sums = self._step(copied(states[0]), Batches(batches.indices[:, 0], valid), data)
            return [state], [float(sums["loss"] / sums["count"])]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
        stacked, sums = self._steps(stacked, batches, data)
        split = [jax.tree.map(lambda leaf, i=i: leaf[i], stacked) for i in range(len(states))]
        return split, (sums["loss"] / sums["count"]).tolist()

    def _initial_state(self, model: str, seed: int) -> TrainState:
        network, optimizer, init = self._network(model)
        example = self.arrays["train"]["inputs"][:1]
        return create_state(network, init(jax.random.key(seed), example), optimizer)

    def _make_network(self, model: str) -> tuple[Any, optax.GradientTransformation, Any]:
        """Return one object each for all trainings of a network, because equal objects share programs."""
        network = build_network(ColorizeConfig(model=model, colors=len(self.palette)))
        return apply_function(network), optax.adam(LEARNING_RATE), jax.jit(network.init)

    def _images_of(self, training: Training) -> int:
        count = len(self.truth["train"].labels)
        steps = -(-count // training.batch_size)
        return training.marks(steps)[-1] * training.batch_size

    def _path(self, training: Training) -> Path:
        return self.folder / training.file_name

    def _is_done(self, training: Training) -> bool:
        return self._path(training).is_file()

    def _write(self, training: Training, trained: Outcome) -> None:
        arrays = {"/".join(path): np.asarray(leaf) for path, leaf in flatten_dict(trained.variables).items()}
        record = json.dumps({"history": trained.history, "seconds": trained.seconds})
        write_atomically(
            self._path(training), lambda file: np.savez(file, allow_pickle=False, record=record, **arrays)
        )

    def _read(self, training: Training) -> Outcome:
        path = self._path(training)
        try:
            with open(path, "rb") as file, np.load(file) as stored:
                arrays = dict(stored)
                record = json.loads(str(arrays.pop("record")))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise UserError(f"{path} is damaged ({reason(error)}): delete it, and --resume") from error
        variables = unflatten_dict({tuple(name.split("/")): array for name, array in arrays.items()})
        return Outcome(record["history"], variables, record["seconds"])


def gradient_norms(state: TrainState, batch: Batch) -> dict[str, Float[Array, ""]]:
    """Return the Euclidean norm of the gradient of the loss for each layer's kernel."""
    gradients, _ = jax.grad(batch_loss, has_aux=True)(state.params, state, batch)
    kernels = {path[0]: leaf for path, leaf in flatten_dict(gradients).items() if path[-1] == "kernel"}
    return {layer: jnp.linalg.norm(kernel) for layer, kernel in sorted(kernels.items())}


def copied(state: TrainState) -> TrainState:
    """Return a copy of the state, because a step donates its input."""
    return jax.tree.map(jnp.copy, state)


def describe(training: Training) -> str:
    """Return `UNet, batch 100, seed 0`, and the change of the pixels if there is one."""
    change = (training.multiply, training.add)
    inputs = f", on {describe_change(*change)}" if change != (1, 0) else ""
    return f"{network_name(training.model)}, batch {training.batch_size}, seed {training.seed}{inputs}"


def describe_change(multiply: float, add: float) -> str:
    """Return the change of a pixel: `2x + 1`."""
    factor = {1.0: "", -1.0: "−"}.get(multiply, f"{multiply:g}".replace("-", "−"))
    return f"{factor}x" + (f" {'+' if add > 0 else '−'} {abs(add):g}" if add else "")
