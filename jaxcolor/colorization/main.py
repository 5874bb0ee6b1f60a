"""A colorization run, from its settings to its folder."""

import dataclasses

from jaxcolor.colorization.config import DILATION, ColorizeConfig
from jaxcolor.colorization.data import load_dataset
from jaxcolor.colorization.job import PALETTE, ColorizeJob
from jaxcolor.colorization.palette import Palette, fit_palette, load_palette
from jaxcolor.errors import UserError
from jaxcolor.training import run
from jaxcolor.training.fit import Metrics
from jaxcolor.training.run_folder import RunFolder


def colorize(config: ColorizeConfig) -> Metrics:
    """Train, resume or evaluate a run, and return its last metrics; `UserError` says what went wrong."""
    if config.model != "dunet" and config.dilation != DILATION:
        raise UserError(f"--dilation is for --model dunet: leave it out for {config.model}")
    return run.run("colorize", config, make_job)


def make_job(config: ColorizeConfig, folder: RunFolder, existing: RunFolder | None) -> ColorizeJob:
    """The job of a run; an existing one has its palette already."""
    images = load_dataset(config)
    if config.activations >= len(images.validation):
        last = len(images.validation) - 1
        raise UserError(f"--activations {config.activations}: the validation images are 0 to {last}")
    palette = choose_palette(config, images, existing)
    config = dataclasses.replace(config, colors=len(palette), dataset=images.facts["name"])
    return ColorizeJob(config, images, palette, folder)


def choose_palette(config: ColorizeConfig, images: Dataset, existing: RunFolder | None) -> Palette:
    """The palette of the existing run, one's own, that of the run to start from, or a new one."""
    if existing:
        return load_palette(existing.path / PALETTE)
    if config.palette:
        return load_palette(config.palette)
    if config.init_from:
        return load_palette(config.init_from / PALETTE)
    return fit_palette(images.train, config.colors, config.seed)
