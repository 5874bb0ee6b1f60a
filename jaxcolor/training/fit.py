"""Training for some epochs into a run folder, from the start or from the latest checkpoint."""

import math
import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from jaxcolor.errors import UserError
from jaxcolor.training.checkpoints import Checkpoints
from jaxcolor.training.progress import Progress
from jaxcolor.training.run_folder import RunFolder
from jaxcolor.training.state import TrainState

Metrics = dict[str, float]
OnStep = Callable[[int, float], None]  # pictures done, their mean loss


@runtime_checkable
class Task(Protocol):
    """What `fit` needs to know of a task."""

    pictures: int  # an epoch's

    def train_epoch(self, state: TrainState, epoch: int, on_step: OnStep) -> tuple[TrainState, Metrics]:
        """Train on all pictures once; the metrics hold `train_loss`."""

    def evaluate(self, state: TrainState) -> Metrics:
        """The metrics of the validation pictures; they hold `val_loss`."""

    def draw(self, state: TrainState, epoch: int, metrics: list[dict], last: bool) -> None:
        """Write the pictures that belong to an epoch."""


class NonFiniteLossError(Exception):
    """The loss became infinite or not a number."""


def fit(task: Task, state: TrainState, run: RunFolder, checkpoints: Checkpoints, epochs: int) -> Metrics:
    """Train until `epochs` are done, and return the last epoch's metrics.

    What an epoch leaves is written before its checkpoint: whatever a kill cuts off is done again by the
    run that resumes, and what is done again is the same, bit for bit.
    """
    done = checkpoints.epoch("latest") or 0
    if done:
        state = checkpoints.restore("latest", state)
        print(f"Resuming after epoch {done} of {epochs}", flush=True)
    run.rewind_metrics(done)
    history = run.read_metrics()

    with Progress(epochs * task.pictures, done * task.pictures) as progress:
        for epoch in range(done + 1, epochs + 1):
            start = time.perf_counter()
            try:
                state, metrics = _epoch(task, state, epoch, progress)
            except NonFiniteLossError as error:
                raise UserError(_diverged(error, epoch, run, checkpoints)) from error
            metrics = {"epoch": epoch, **metrics, "seconds": round(time.perf_counter() - start, 3)}
            run.log(metrics)
            history.append(metrics)
            task.draw(state, epoch, history, last=epoch == epochs)
            checkpoints.save(epoch, state, metrics["val_loss"])
            width = len(str(epochs))
            numbers = "  ".join(
                f"{name} {value:.4f}" for name, value in metrics.items() if name not in ("epoch", "seconds")
            )
            progress.line(f"epoch {epoch:{width}}/{epochs}  {numbers}  {metrics['seconds']:.1f} s")
    return history[-1]


def _epoch(task: Task, state: TrainState, epoch: int, progress: Progress) -> tuple[TrainState, Metrics]:
    def on_step(pictures: int, loss: float) -> None:
        if not math.isfinite(loss):
            raise NonFiniteLossError(f"the training loss became {loss}")
        progress.advance(epoch, pictures, loss)

    state, metrics = task.train_epoch(state, epoch, on_step)
    metrics = metrics | task.evaluate(state)
    if not math.isfinite(metrics["val_loss"]):
        raise NonFiniteLossError(f"the validation loss became {metrics['val_loss']}")
    return state, metrics


def _diverged(error: NonFiniteLossError, epoch: int, run: RunFolder, checkpoints: Checkpoints) -> str:
    last = checkpoints.epoch("latest")
    kept = (
        f"the checkpoint after epoch {last} is kept in {run.path}" if last else "there is no checkpoint yet"
    )
    return f"{error} in epoch {epoch}: lower --learning-rate; {kept}"
