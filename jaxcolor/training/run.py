"""A run of either task, from its settings to its folder: train, resume, evaluate, start from another run."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from jaxcolor.errors import UserError
from jaxcolor.terminal import messages_into
from jaxcolor.training.checkpoints import Checkpoints
from jaxcolor.training.compilation import set_up
from jaxcolor.training.config import RunConfig
from jaxcolor.training.fit import Evaluation, Metrics, Plan, Task, fit
from jaxcolor.training.freezing import Trainable
from jaxcolor.training.logs import check_log
from jaxcolor.training.processes import (
    check_settings,
    differing,
    is_first,
    local,
    together,
    wait_for_all,
)
from jaxcolor.training.run_folder import RunFolder, environment, find_run, on_device
from jaxcolor.training.state import TrainState
from jaxcolor.training.timing import Timing


@runtime_checkable
class Job(Task, Protocol):
    """A task's side of a run. It is complete when it is constructed."""

    config: Any  # the settings, including those that the data decides
    facts: dict[str, Any]  # the description of the data in config.json
    trainable: Trainable  # checkpoints hold what is trainable
    initial_state: TrainState  # the state before the first step

    def describe(self) -> dict[str, Any]:
        """Return further entries of config.json."""

    def announce(self, record: dict[str, Any]) -> str:
        """Return the line that is printed at the start."""

    def fill(self, folder: Path) -> None:
        """Write the task's files into the folder of a new run."""

    def finish(self, state: TrainState, evaluation: Evaluation) -> None:
        """Check and print the result of the training."""

    def trainable_in(self, settings: Any) -> Trainable:
        """Return what a run with other settings trains, which is what its checkpoints hold."""

    def show(self, state: TrainState, evaluation: Evaluation, epoch: int) -> None:
        """Print, and draw, the result of an evaluation."""


Config = TypeVar("Config", bound=RunConfig)
# Builds a job from its settings and its folder; the last argument is the run to resume or read, or None.
BuildJob = Callable[[Config, RunFolder, RunFolder | None], Job]


def run(config: Config, build_job: BuildJob, since: float | None = None) -> Metrics:
    """Train, resume or evaluate a run, and return its last metrics. Raises `UserError`.

    `since` is when the process began, in seconds of `time.perf_counter`, if it began for this run.
    """
    with together(config.place), Timing("start", since) as timing:
        set_up(config.precision)
        check_settings(vars(config))
        if config.evaluate:
            return evaluate(config, build_job)
        metrics = train(config, build_job, timing)
        print(timing.describe(), flush=True)
        return metrics


def train(config: Config, build_job: BuildJob, timing: Timing) -> Metrics:
    """Train a run to its end, from the start or from its latest checkpoint."""
    folder = RunFolder(config.folder)
    resuming = config.resume
    if resuming:
        find_run(folder.path, config.TASK)
    check_log(config.log)
    config = config.with_absolute_paths()
    if not resuming:
        folder.check_free(config.overwrite)
        if config.run_to_start_from:
            find_run(config.run_to_start_from, config.TASK)
    wait_for_all("the folder is free")

    with timing.part("data"):
        job = build_job(config, folder, folder if resuming else None)
    if differing({"images": identity(job.facts)}):
        raise UserError("the processes have found different images: each needs a copy of the same data")
    if resuming:
        check_same(job, folder)
    if job.config.batch_size > job.images:
        print(
            f"warning: --batch-size {job.config.batch_size} is above the number of training images: "
            f"a step takes all {job.images}",
            file=sys.stderr,
            flush=True,
        )
    state = job.initial_state
    if config.run_to_start_from and not (resuming and has_checkpoint(folder)):
        state, _ = load_weights(job, find_run(config.run_to_start_from), state)

    record = {
        "task": config.TASK,
        "settings": job.config.to_json(),
        "dataset": job.facts,
        **job.describe(),
        **environment(),
    }
    if not resuming and is_first():
        folder.create(record, job.fill, config.overwrite)
    wait_for_all("there is a folder")
    with written_by_first(folder):
        if resuming and is_first():
            earlier = folder.read_config()
            parts = [*earlier.get("resumed", []), environment()]
            folder.write_config(earlier | {"settings": record["settings"], "resumed": parts})
        print(f"{job.announce(record)}; {on_device(record['device'])}; into {folder.path}", flush=True)
        with Checkpoints(folder.checkpoints, job.trainable, job.config.best) as checkpoints:
            settings = job.config
            plan = Plan(settings.epochs, settings.patience, settings.save_steps, settings.log)
            state, evaluation = fit(job, state, folder, checkpoints, plan, timing)
        if is_first():
            with timing.part("evaluation"):
                job.finish(local(state), evaluation)
    return folder.read_metrics()[-1]


@contextlib.contextmanager
def written_by_first(folder: RunFolder) -> Iterator[None]:
    """Lock the folder, and append the messages of libraries to its log, in the first process."""
    if not is_first():
        yield
        return
    with folder.locked(), messages_into(folder.log_file):
        yield


def evaluate(config: Config, build_job: BuildJob) -> Metrics:
    """Return the validation metrics of a checkpoint. The task may add drawings to the folder of the run."""
    job, state, epoch = load_run(config, build_job)
    print(f"{config.folder}: the {config.checkpoint} checkpoint, after epoch {epoch}", flush=True)
    evaluation = job.evaluate(state)
    if is_first():
        job.show(local(state), evaluation, epoch)
    return evaluation.metrics


def load_run(config: Config, build_job: BuildJob) -> tuple[Job, TrainState, int]:
    """Return the job of an existing run, and the state and the epoch of one of its checkpoints."""
    folder = find_run(config.folder, config.TASK)
    job = build_job(config, folder, folder)
    state, epoch = load_weights(job, folder, job.initial_state)
    return job, state, epoch


def has_checkpoint(folder: RunFolder) -> bool:
    with Checkpoints(folder.checkpoints) as checkpoints:
        return (checkpoints.epoch("latest") or checkpoints.position()) is not None


def check_same(job: Job, folder: RunFolder) -> None:
    """Raise `UserError` if a run would resume with settings or data that give other numbers."""
    record = folder.read_config()
    stored = type(job.config).from_json(record["settings"])
    for name in (*job.config.STRUCTURE, *job.config.TRAINING):
        was, now = getattr(stored, name), getattr(job.config, name)
        if was != now:
            raise UserError(
                f"{folder.path} was started with --{name.replace('_', '-')} {was}, not {now}: "
                "resume it with its own settings, or start a new run with another --name"
            )
    if job.config.schedule != "constant" and stored.epochs != job.config.epochs:
        raise UserError(
            f"{folder.path} was planned for {stored.epochs} epochs, and its learning rate reaches 0 there: "
            "resume it without --epochs, or start a new run with --init-from"
        )
    if identity(record["dataset"]) != identity(job.facts):
        raise UserError(f"{folder.path} was started with other images: start a new run with another --name")


def identity(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the entries of a data set that tell it from others, whatever its name and place."""
    return {name: value for name, value in facts.items() if name not in ("name", "requested")}


def check_same_network(config: RunConfig, stored: RunConfig, source: str) -> None:
    """Raise `UserError` if weights that were trained with the settings `stored` do not fit the network."""
    different = [
        f"{name.replace('_', ' ')} {getattr(stored, name)}, not {getattr(config, name)}"
        for name in config.STRUCTURE
        if getattr(stored, name) != getattr(config, name)
    ]
    if different:
        raise UserError(f"{source} holds another network: {'; '.join(different)}")


def load_weights(job: Job, source: RunFolder, state: TrainState) -> tuple[TrainState, int]:
    """Return `state` with the weights and running averages of a run's checkpoint, and its epoch."""
    config = job.config
    stored = type(config).from_json(source.read_config()["settings"])
    check_same_network(config, stored, str(source.path))
    with Checkpoints(source.checkpoints, job.trainable_in(stored), stored.best) as checkpoints:
        variables = checkpoints.restore_weights(config.checkpoint, state.variables)
        epoch = checkpoints.epoch(config.checkpoint) or 0
    return state.with_variables(variables), epoch
