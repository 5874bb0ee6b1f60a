"""A run of any task, from its settings to its folder: train, resume, evaluate, start from another run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from jaxcolor.errors import UserError
from jaxcolor.training.checkpoints import Checkpoints
from jaxcolor.training.compilation import cache_compilations, multiply_with
from jaxcolor.training.config import RunConfig
from jaxcolor.training.fit import Job, Metrics, fit
from jaxcolor.training.memory import keep_freed_memory
from jaxcolor.training.run_folder import RunFolder, environment
from jaxcolor.training.state import TrainState


@runtime_checkable
class RunJob(Job, Protocol):
    """What a run needs of its task."""

    config: Any  # the settings, with what the data has decided
    facts: dict[str, Any]  # what config.json says of the data

    def initial_state(self) -> TrainState:
        """The state before the first step."""

    def is_kept(self, path: tuple[str, ...]) -> bool:
        """Whether checkpoints hold this parameter or statistic; others are as in `initial_state`."""

    def describe(self, state: TrainState) -> dict[str, Any]:
        """What config.json says besides."""

    def announce(self, record: dict[str, Any]) -> str:
        """The line on the terminal at the start."""

    def fill(self, folder: Path) -> None:
        """Write what belongs into the folder of a new run, besides config.json."""

    def finish(self, state: TrainState, metrics: Metrics) -> None:
        """Check and print what there is to say at the end of training."""

    def show(self, state: TrainState, metrics: Metrics, epoch: int | None) -> None:
        """Print, and draw, what an evaluation has found."""


Config = TypeVar("Config", bound=RunConfig)
# Makes a job of settings and folder, and is told the run where one is gone on with.
MakeJob = Callable[[Config, RunFolder, RunFolder | None], RunJob]


def run(task: str, config: Config, make_job: MakeJob) -> Metrics:
    """Train, resume or evaluate a run, and return its last metrics; `UserError` says what went wrong."""
    prepare(config.precision)
    return evaluate(config, make_job) if config.evaluate else train(task, config, make_job)


def prepare(precision: str) -> None:
    """What a process does before its first step; `precision` is one of `compilation.PRODUCTS`."""
    multiply_with(precision)
    keep_freed_memory()
    cache_compilations()


def train(task: str, config: Config, make_job: MakeJob) -> Metrics:
    """Train a run to its end, from the start or from where it stopped."""
    folder = RunFolder(config.folder)
    resuming = config.resume and folder.is_run()
    if config.resume and not resuming:
        print(f"There is no run in {folder.path} yet: starting it", flush=True)
    config = config.with_absolute_paths()
    if not resuming:
        folder.check_free(config.overwrite)
        if config.init_from:
            find_run(config.init_from)

    job = make_job(config, folder, folder if resuming else None)
    if resuming:
        check_same(job, folder)
    state = job.initial_state()
    if config.init_from and not (resuming and Checkpoints(folder.checkpoints).epoch("latest")):
        state, _ = load_weights(job, find_run(config.init_from), state)

    record = {
        "task": task,
        "settings": job.config.to_json(),
        "dataset": job.facts,
        **job.describe(state),
        **environment(),
    }
    if not resuming:
        folder.create(record, job.fill, config.overwrite)
    with folder.locked():
        if resuming:
            earlier = folder.read_config()
            parts = [*earlier.get("resumed", []), environment()]
            folder.write_config(earlier | {"settings": record["settings"], "resumed": parts})
        print(f"{job.announce(record)}; on {record['device']}; into {folder.path}", flush=True)
        checkpoints = Checkpoints(folder.checkpoints, job.is_kept)
        state, metrics = fit(job, state, folder, checkpoints, config.epochs)
    checkpoints.close()
    job.finish(state, metrics)
    return metrics


def evaluate(config: Config, make_job: MakeJob) -> Metrics:
    """The validation metrics of a checkpoint; the task may add drawings to the run's folder."""
    job, state, epoch = load_run(config, make_job)
    metrics = job.evaluate(state)
    job.show(state, metrics, epoch)
    return metrics


def load_run(config: Config, make_job: MakeJob) -> tuple[RunJob, TrainState, int | None]:
    """The job of an existing run, with the state and the epoch of one of its checkpoints."""
    folder = find_run(config.folder)
    job = make_job(config, folder, folder)
    state, epoch = load_weights(job, folder, job.initial_state())
    return job, state, epoch


def find_run(path: Path) -> RunFolder:
    """The run in a folder."""
    folder = RunFolder(path)
    if not folder.is_run():
        raise UserError(f"there is no run in {path}: a run's folder has a config.json")
    return folder


def check_same(job: RunJob, folder: RunFolder) -> None:
    """Refuse to resume a run with settings or images that would have given other numbers."""
    record = folder.read_config()
    stored = type(job.config).from_json(record["settings"])
    for name in (*job.config.STRUCTURE, *job.config.TRAINING):
        was, now = getattr(stored, name), getattr(job.config, name)
        if was != now:
            raise UserError(
                f"{folder.path} was started with --{name.replace('_', '-')} {was}, not {now}: "
                "resume it with its own settings, or start a new run with another --name"
            )
    if record["dataset"] | {"requested": None} != job.facts | {"requested": None}:
        raise UserError(f"{folder.path} was started with other images: start a new run with another --name")


def load_weights(job: RunJob, source: RunFolder, state: TrainState) -> tuple[TrainState, int | None]:
    """`state` with the weights and running statistics of a run's checkpoint, and its epoch."""
    config = job.config
    stored = type(config).from_json(source.read_config()["settings"])
    different = [
        f"{name.replace('_', ' ')} {getattr(stored, name)}, not {getattr(config, name)}"
        for name in config.STRUCTURE
        if getattr(stored, name) != getattr(config, name)
    ]
    if different:
        raise UserError(f"{source.path} holds another network: {'; '.join(different)}")
    checkpoints = Checkpoints(source.checkpoints, job.is_kept)
    restored = checkpoints.restore(config.checkpoint, state)
    epoch = checkpoints.epoch(config.checkpoint)
    checkpoints.close()
    return state.replace(params=restored.params, batch_stats=restored.batch_stats), epoch
