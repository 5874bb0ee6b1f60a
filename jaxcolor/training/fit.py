"""The loop over epochs: train, validate, log, save, draw; from the start or from the latest checkpoint."""

import contextlib
import math
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxcolor.errors import UserError, reason
from jaxcolor.training.checkpoints import Checkpoints, Position
from jaxcolor.training.config import LogName
from jaxcolor.training.engine import Midway, OnStep
from jaxcolor.training.history import better, has_stalled
from jaxcolor.training.logs import Log, open_log
from jaxcolor.training.processes import is_first, local, wait_for_all
from jaxcolor.training.progress import Progress
from jaxcolor.training.run_folder import RunFolder
from jaxcolor.training.state import TrainState
from jaxcolor.training.timing import Timing

Metrics = dict[str, float]
Draw = Callable[[], None]


class Evaluation(NamedTuple):
    """The metrics of the validation images, `val_loss` among them, and details that are only drawn."""

    metrics: Metrics
    details: Any = None


@runtime_checkable
class Task(Protocol):
    """The part of a run that `fit` needs: data, and steps over it."""

    images: int  # training images per epoch
    evaluates_first: bool  # whether to evaluate before any training, as epoch 0

    def train_epoch(
        self, state: TrainState, epoch: int, on_step: OnStep, midway: Midway
    ) -> tuple[TrainState, Metrics]:
        """Train on all images once. The metrics hold `train_loss`; `on_step` receives "loss" per image.

        With `midway` the epoch goes on after some steps.
        """

    def evaluate(self, state: TrainState) -> Evaluation:
        """Evaluate the validation images."""

    def draw(
        self, state: TrainState, epoch: int, history: list[dict[str, Any]], evaluation: Evaluation, last: bool
    ) -> list[Draw]:
        """Predict what the drawings of an epoch show, and return functions that draw and write them.

        `history` holds the metrics so far. The functions run on another thread, beside the next epoch.
        """


class NonFiniteLossError(Exception):
    """The loss became infinite or not a number."""


@dataclass(frozen=True)
class Plan:
    """How long a run trains, and what it writes meanwhile."""

    epochs: int
    patience: int | None = None  # epochs without a better value of the checkpoints' metric, before the end
    save_steps: int | None = None  # steps within an epoch, after each of which the state is saved, too
    log: LogName = "none"  # besides metrics.jsonl


def fit(
    task: Task, state: TrainState, run: RunFolder, checkpoints: Checkpoints, plan: Plan, timing: Timing
) -> tuple[TrainState, Evaluation]:
    """Train to the end of the plan, and return the state and the evaluation of the last epoch.

    Each epoch logs its metrics. Its checkpoint and its drawings are written beside the next epoch, which
    waits for both before it logs its own metrics. A run that is killed before the checkpoint is complete
    repeats the epoch when it resumes, or the steps since it was last saved, with the same numbers bit for
    bit. One that is killed later draws the epoch again.
    """
    epochs, patience, metric = plan.epochs, plan.patience, checkpoints.metric
    done = checkpoints.epoch("latest") or 0
    if done > epochs:
        raise UserError(f"{run.path} has trained {done} epochs already: --epochs must be at least {done}")
    if position := checkpoints.position():
        print(f"Resuming in epoch {position.epoch} of {epochs}, after {position.steps} steps", flush=True)
    else:
        checkpoints.forget_within()  # of another epoch
    if done and not position:
        state = checkpoints.restore("latest", state)
        is_finished = f"{run.path} is finished: {done} of {epochs} epochs"
        print(is_finished if done == epochs else f"Resuming after epoch {done} of {epochs}", flush=True)
    if (history := run.read_metrics()) and history[-1]["epoch"] > done + 1:
        raise UserError(
            f"{run.path} has the metrics of {history[-1]['epoch']} epochs but no checkpoint of them: "
            "replace the run with --overwrite"
        )
    wait_for_all("the metrics are read")
    kept = done if done or position else -1  # epoch 0, the evaluation before any training, is repeated
    if is_first():
        run.rewind(kept)
    history = [metrics for metrics in history if metrics["epoch"] <= kept]

    def is_over() -> bool:
        return bool(history) and (history[-1]["epoch"] == epochs or has_stalled(history, patience, metric))

    with (
        contextlib.closing(open_log(plan.log if is_first() else "none", run, history)) as extra,
        Progress(epochs * task.images, done * task.images) as progress,
        Drawings(task, timing, extra) as drawings,
    ):
        evaluation: Evaluation | None = None
        if position:
            state = checkpoints.restore_within(state)
        elif done:
            progress.wait("evaluating")
            evaluation = _evaluate(task, state, timing)
            drawings.draw(state, done, history, evaluation, last=is_over())
        elif task.evaluates_first and not history:
            start = time.perf_counter()
            progress.wait("evaluating")
            evaluation = _evaluate(task, state, timing)
            _log(run, extra, history, {"epoch": 0, **evaluation.metrics}, start)
            progress.line(describe(history[-1], epochs))
        progress.wait("compiling")
        epoch = done
        while not is_over():
            epoch += 1
            start = time.perf_counter()
            try:
                midway = _midway(checkpoints, position, epoch, plan.save_steps)
                state, metrics, evaluation = _epoch(task, state, epoch, progress, timing, midway)
            except NonFiniteLossError as error:
                raise UserError(f"{error} in epoch {epoch}: {_advice(run, checkpoints)}") from error
            drawings.wait()
            with timing.part("saving"):
                checkpoints.wait()
                _log(run, extra, history, {"epoch": epoch, **metrics}, start)
                checkpoints.save(epoch, state, metrics[metric])
                position = None
            progress.line(describe(history[-1], epochs))
            drawings.draw(state, epoch, history, evaluation, last=is_over())
        if epoch < epochs:
            progress.line(f"Stopped after {patience} epochs without a {better(metric)}")
        with timing.part("saving"):
            checkpoints.wait()
            checkpoints.forget_within()
    assert evaluation is not None, "there is at least one epoch"
    return state, evaluation


class Drawings:
    """The thread that draws. A drawing that fails is a warning, because the checkpoint is what counts."""

    def __init__(self, task: Task, timing: Timing, log: Log):
        self._task = task
        self._log = log
        self._timing = timing
        self._thread = ThreadPoolExecutor(1, "drawing")
        self._pending: tuple[int, Future] | None = None

    def __enter__(self) -> "Drawings":
        return self

    def __exit__(self, *error: object) -> None:
        self.wait()
        self._thread.shutdown()

    def draw(
        self,
        state: TrainState,
        epoch: int,
        history: list[dict[str, Any]],
        evaluation: Evaluation,
        last: bool,
    ) -> None:
        """Start to draw an epoch, in the first process."""
        if not is_first():
            return
        with self._timing.part("drawing"):
            try:
                drawings = self._task.draw(local(state), epoch, list(history), evaluation, last)
            except Exception as error:
                _warn(epoch, error)
            else:
                self._pending = epoch, self._thread.submit(self._draw, epoch, drawings)

    def _draw(self, epoch: int, drawings: list[Draw]) -> None:
        for draw in drawings:
            draw()
        self._log.add_drawings(epoch)

    def wait(self) -> None:
        """Wait until everything is drawn."""
        if not self._pending:
            return
        epoch, drawing = self._pending
        with self._timing.part("drawing"):
            if error := drawing.exception():
                _warn(epoch, error)
        self._pending = None


def _warn(epoch: int, error: BaseException) -> None:
    print(f"warning: cannot draw epoch {epoch}: {reason(error)}", file=sys.stderr, flush=True)


def _evaluate(task: Task, state: TrainState, timing: Timing) -> Evaluation:
    with timing.part("evaluation"):
        return task.evaluate(state)


def describe(metrics: Metrics, epochs: int) -> str:
    """Return the line on the terminal: `epoch  3/25  train_loss 1.6123  …  5.3 s`."""
    numbers = (f"{name} {value:.4f}" for name, value in metrics.items() if name not in ("epoch", "seconds"))
    epoch = f"epoch {metrics['epoch']:{len(str(epochs))}}/{epochs}"
    return "  ".join([epoch, *numbers, f"{metrics['seconds']:.1f} s"])


def _log(run: RunFolder, extra: Log, history: list[dict[str, Any]], metrics: Metrics, start: float) -> None:
    history.append({**metrics, "seconds": round(time.perf_counter() - start, 3)})
    if is_first():
        run.log(history[-1])
    extra.add_metrics(history[-1])


def _midway(
    checkpoints: Checkpoints, position: Position | None, epoch: int, save_steps: int | None
) -> Midway:
    """Return where the epoch starts, and what saves the state within it."""

    def save(state: TrainState, steps: int, totals: dict[str, Any]) -> None:
        sums = {name: float(value) for name, value in totals.items()}
        checkpoints.save_within(Position(epoch, steps, sums), state)

    if not position:
        return Midway(every=save_steps, save=save)
    return Midway(position.steps, position.totals, save_steps, save)


def _epoch(
    task: Task, state: TrainState, epoch: int, progress: Progress, timing: Timing, midway: Midway
) -> tuple[TrainState, Metrics, Evaluation]:
    def on_step(images: int, sums: dict[str, Any]) -> None:
        loss = sums["loss"] / max(sums["count"], 1e-12)
        if not math.isfinite(loss):
            raise NonFiniteLossError(f"the training loss became {loss}")
        progress.advance(images, f"epoch {epoch}  loss {loss:.4f}")

    with timing.part("training"):
        state, metrics = task.train_epoch(state, epoch, on_step, midway)
    evaluation = _evaluate(task, state, timing)
    if not math.isfinite(evaluation.metrics["val_loss"]):
        raise NonFiniteLossError(f"the validation loss became {evaluation.metrics['val_loss']}")
    return state, metrics | evaluation.metrics, evaluation


def _advice(run: RunFolder, checkpoints: Checkpoints) -> str:
    last = checkpoints.epoch("latest")
    if not last:
        return "start again with a lower --learning-rate"
    return (
        f"the checkpoint after epoch {last} is kept; start a new run from it with "
        f"--init-from {run.path.name} --checkpoint latest, another --name and a lower --learning-rate"
    )
