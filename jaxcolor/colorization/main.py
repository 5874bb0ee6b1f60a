"""A colourization run, from its settings to its folder."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxcolor.colorization.config import DILATION, ColorizeConfig
from jaxcolor.colorization.dataset import Pictures, load_pictures
from jaxcolor.colorization.job import ColorizeJob
from jaxcolor.colorization.palette import Palette, draw_palette, fit_palette, load_palette
from jaxcolor.errors import UserError
from jaxcolor.files import write_atomically
from jaxcolor.training.checkpoints import Checkpoints
from jaxcolor.training.compilation import cache_compilations, multiply_with
from jaxcolor.training.fit import Metrics, fit
from jaxcolor.training.memory import keep_freed_memory
from jaxcolor.training.run_folder import RunFolder, environment
from jaxcolor.training.state import TrainState

PALETTE = "palette.npy"
# What decides whether the weights of one network fit another.
STRUCTURE = ("model", "kernel_size", "filters", "colors", "dilation", "downsize_input")
# What decides the numbers of a run, and so must stay as it was when it is resumed.
TRAINING = (
    *STRUCTURE, "batch_size", "learning_rate", "seed", "shuffle", "precision", "category",
    "palette", "init_from",
)  # fmt: skip


def colorize(config: ColorizeConfig) -> Metrics:
    """Train, resume or evaluate a run, and return its last metrics; `UserError` says what went wrong."""
    if config.model != "dunet" and config.dilation != DILATION:
        raise UserError(f"--dilation is for --model dunet: leave it out for {config.model}")
    multiply_with(config.precision)
    keep_freed_memory()
    cache_compilations()
    return evaluate(config) if config.evaluate else train(config)


def train(config: ColorizeConfig) -> Metrics:
    """Train a run to its end, from the start or from where it stopped."""
    run = RunFolder(config.folder)
    resuming = config.resume and run.is_run()
    if config.resume and not resuming:
        print(f"There is no run in {run.path} yet: starting it", flush=True)
    config = with_absolute_paths(config)
    if not resuming:
        run.check_free(config.overwrite)
        if config.init_from:
            find_run(config.init_from)

    pictures = load_pictures(config)
    check_activations(config, pictures)
    palette = choose_palette(config, pictures, run if resuming else None)
    config = dataclasses.replace(config, colors=len(palette), dataset=pictures.facts["name"])
    if resuming:
        check_same(config, pictures, run)
    job = ColorizeJob(config, pictures, palette, run)
    state = job.initial_state()
    if config.init_from and not (resuming and Checkpoints(run.checkpoints).epoch("latest")):
        state, _ = load_weights(config, find_run(config.init_from), state)

    record = describe(config, pictures, state)
    if resuming:
        earlier = run.read_config()
        parts = [*earlier.get("resumed", []), environment()]
        run.write_config(earlier | {"settings": record["settings"], "resumed": parts})
    else:
        run.create(record, partial(write_palette, palette), config.overwrite)
    announce(record, run)
    checkpoints = Checkpoints(run.checkpoints)
    with run.locked():
        metrics = fit(job, state, run, checkpoints, config.epochs)
    checkpoints.close()
    print_final(metrics, run)
    return metrics


def evaluate(config: ColorizeConfig) -> Metrics:
    """The validation metrics of a checkpoint; the folder gains a drawing of the activations."""
    run = find_run(config.folder)
    pictures = load_pictures(config)
    check_activations(config, pictures)
    palette = load_palette(run.path / PALETTE)
    job = ColorizeJob(config, pictures, palette, run)
    state, epoch = load_weights(config, run, job.initial_state())
    metrics = job.evaluate(state)
    print_final(metrics, run)
    job.draw_activations(state, epoch)
    return metrics


def with_absolute_paths(config: ColorizeConfig) -> ColorizeConfig:
    """The settings as they can be read again from anywhere."""
    source = config.init_from
    if source and RunFolder(config.runs_dir / source).is_run():
        source = config.runs_dir / source
    return dataclasses.replace(
        config,
        archive=config.archive and config.archive.absolute(),
        data_dir=config.data_dir and config.data_dir.absolute(),
        palette=config.palette and config.palette.absolute(),
        init_from=source and source.absolute(),
    )


def find_run(folder: Path) -> RunFolder:
    """The run in a folder."""
    run = RunFolder(folder)
    if not run.is_run():
        raise UserError(f"there is no run in {folder}: a run's folder has a config.json")
    return run


def check_activations(config: ColorizeConfig, pictures: Pictures) -> None:
    """Refuse an index beyond the validation pictures."""
    if config.activations >= len(pictures.validation):
        last = len(pictures.validation) - 1
        raise UserError(f"--activations {config.activations}: the validation pictures are 0 to {last}")


def choose_palette(config: ColorizeConfig, pictures: Pictures, resumed: RunFolder | None) -> Palette:
    """The palette of the run to resume, one's own, that of the run to start from, or a new one."""
    if resumed:
        return load_palette(resumed.path / PALETTE)
    if config.palette:
        return load_palette(config.palette)
    if config.init_from:
        return load_palette(config.init_from / PALETTE)
    return fit_palette(pictures.train, config.colors, config.seed)


def check_same(config: ColorizeConfig, pictures: Pictures, run: RunFolder) -> None:
    """Refuse to resume a run with settings or pictures that would have given other numbers."""
    record = run.read_config()
    stored = ColorizeConfig.from_json(record["settings"])
    for name in TRAINING:
        was, now = getattr(stored, name), getattr(config, name)
        if was != now:
            raise UserError(
                f"{run.path} was started with --{name.replace('_', '-')} {was}, not {now}: "
                "resume it with its own settings, or start a new run with another --name"
            )
    for name in ("archive_md5", "pictures_sha256"):
        if record["dataset"].get(name) != pictures.facts.get(name):
            raise UserError(
                f"{run.path} was started with other pictures: start a new run with another --name"
            )


def load_weights(
    config: ColorizeConfig, source: RunFolder, state: TrainState
) -> tuple[TrainState, int | None]:
    """`state` with the weights and running statistics of another run's checkpoint, and its epoch."""
    stored = ColorizeConfig.from_json(source.read_config()["settings"])
    different = [
        f"{name.replace('_', ' ')} {getattr(stored, name)}, not {getattr(config, name)}"
        for name in STRUCTURE
        if getattr(stored, name) != getattr(config, name)
    ]
    if different:
        raise UserError(f"{source.path} holds another network: {'; '.join(different)}")
    checkpoints = Checkpoints(source.checkpoints)
    restored = checkpoints.restore(config.checkpoint, state)
    epoch = checkpoints.epoch(config.checkpoint)
    checkpoints.close()
    return state.replace(params=restored.params, batch_stats=restored.batch_stats), epoch


def describe(config: ColorizeConfig, pictures: Pictures, state: TrainState) -> dict[str, Any]:
    """What config.json says of a run."""
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    return {
        "task": "colorize",
        "settings": config.to_json(),
        "dataset": pictures.facts,
        "parameters": parameters,
        **environment(),
    }


def announce(record: dict[str, Any], run: RunFolder) -> None:
    settings, dataset = record["settings"], record["dataset"]
    what = f"{dataset['name']} {dataset['category']}" if "category" in dataset else dataset["name"]
    print(
        f"{settings['model']}: {record['parameters']:,} parameters, {settings['colors']} colours; "
        f"{what}: {dataset['train']:,} train and {dataset['validation']:,} validation pictures; "
        f"on {record['device']}; into {run.path}",
        flush=True,
    )


def write_palette(palette: Palette, folder: Path) -> None:
    write_atomically(folder / PALETTE, lambda file: np.save(file, palette))
    picture = draw_palette(palette)
    write_atomically(folder / "palette.png", lambda file: picture.save(file, format="png"))


def print_final(metrics: Metrics, run: RunFolder) -> None:
    print(f"final: val_loss={metrics['val_loss']:.4f} val_accuracy={metrics['val_accuracy']:.4f} {run.path}")
