"""Training for some epochs into a run folder, from the start or from the latest checkpoint."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import jax

from jaxcolor.errors import UserError
from jaxcolor.training.checkpoints import Checkpoints
from jaxcolor.training.progress import Progress
from jaxcolor.training.run_folder import RunFolder
from jaxcolor.training.state import TrainState

Metrics = dict[str, float]
OnStep = Callable[[int, float], None]  # images done, their mean loss


@runtime_checkable
class Job(Protocol):
    """What `fit` needs: the data of a run, and the steps over it."""

    images: int  # an epoch's
    evaluates_first: bool  # whether the metrics start with those before any training, as epoch 0

    def train_epoch(self, state: TrainState, epoch: int, on_step: OnStep) -> tuple[TrainState, Metrics]:
        """Train on all images once; the metrics hold `train_loss`."""

    def evaluate(self, state: TrainState) -> Metrics:
        """The metrics of the validation images; they hold `val_loss`."""

    def draw(self, state: TrainState, epoch: int, history: list[dict], last: bool) -> None:
        """Write the images that belong to an epoch; `history` holds the metrics so far."""


class NonFiniteLossError(Exception):
    """The loss became infinite or not a number."""


def fit(
    job: Job, state: TrainState, run: RunFolder, checkpoints: Checkpoints, epochs: int
) -> tuple[TrainState, Metrics]:
    """Train until `epochs` are done, and return the last epoch's state and metrics.

    What an epoch leaves is written before its checkpoint: whatever a kill cuts off is done again by the
    run that resumes, and what is done again is the same, bit for bit.
    """
    done = checkpoints.epoch("latest") or 0
    if done > epochs:
        raise UserError(f"{run.path} has done {done} epochs already: --epochs must be at least that")
    if done:
        state = checkpoints.restore("latest", state)
        print(f"Resuming after epoch {done} of {epochs}", flush=True)
    if (history := run.read_metrics()) and history[-1]["epoch"] > done + 1:
        raise UserError(
            f"{run.path} has the metrics of {history[-1]['epoch']} epochs but no checkpoint of them: "
            "replace it with --overwrite"
        )
    run.rewind(done or -1)
    history = run.read_metrics()

    with Progress(epochs * job.images, done * job.images) as progress:
        if job.evaluates_first and not history:
            start = time.perf_counter()
            with enough_memory():
                metrics = job.evaluate(state)
            metrics = {"epoch": 0, **metrics, "seconds": round(time.perf_counter() - start, 3)}
            run.log(metrics)
            history.append(metrics)
            progress.line(describe(metrics, epochs))
        for epoch in range(done + 1, epochs + 1):
            start = time.perf_counter()
            try:
                with enough_memory():
                    state, metrics = _epoch(job, state, epoch, progress)
            except NonFiniteLossError as error:
                raise UserError(f"{error} in epoch {epoch}: {_advice(run, checkpoints)}") from error
            metrics = {"epoch": epoch, **metrics, "seconds": round(time.perf_counter() - start, 3)}
            run.log(metrics)
            history.append(metrics)
            job.draw(state, epoch, history, last=epoch == epochs)
            checkpoints.save(epoch, state, metrics["val_loss"])
            progress.line(describe(metrics, epochs))
    return state, history[-1]


@contextmanager
def enough_memory() -> Iterator[None]:
    """Say in a `UserError` that the device's memory does not suffice for what is computed inside."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise UserError("the device has too little memory: lower --batch-size") from error


def describe(metrics: Metrics, epochs: int) -> str:
    """The line on the terminal: `epoch  3/25  train_loss 1.6123  …  5.3 s`."""
    numbers = (f"{name} {value:.4f}" for name, value in metrics.items() if name not in ("epoch", "seconds"))
    epoch = f"epoch {metrics['epoch']:{len(str(epochs))}}/{epochs}"
    return "  ".join([epoch, *numbers, f"{metrics['seconds']:.1f} s"])


def _epoch(job: Job, state: TrainState, epoch: int, progress: Progress) -> tuple[TrainState, Metrics]:
    def on_step(images: int, loss: float) -> None:
        if not math.isfinite(loss):
            raise NonFiniteLossError(f"the training loss became {loss}")
        progress.advance(epoch, images, loss)

    state, metrics = job.train_epoch(state, epoch, on_step)
    metrics = metrics | job.evaluate(state)
    if not math.isfinite(metrics["val_loss"]):
        raise NonFiniteLossError(f"the validation loss became {metrics['val_loss']}")
    return state, metrics


def _advice(run: RunFolder, checkpoints: Checkpoints) -> str:
    last = checkpoints.epoch("latest")
    if not last:
        return "start again with a lower --learning-rate"
    return (
        f"the checkpoint after epoch {last} is kept; go on from it in a new run with "
        f"--init-from {run.path.name}, another --name and a lower --learning-rate"
    )
