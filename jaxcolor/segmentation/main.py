"""A segmentation run, from its settings to its folder."""

import dataclasses

from jaxcolor.errors import UserError
from jaxcolor.segmentation.config import SegmentConfig
from jaxcolor.segmentation.data import load_dataset
from jaxcolor.segmentation.job import SegmentJob
from jaxcolor.segmentation.predict import predict_files
from jaxcolor.training import run
from jaxcolor.training.fit import Metrics
from jaxcolor.training.memory import give_back_large_arrays
from jaxcolor.training.run_folder import RunFolder


def segment(config: SegmentConfig) -> Metrics | None:
    """Train, resume or evaluate a run, and return its last metrics, or segment images with it.

    `UserError` says what went wrong.
    """
    if config.predict:
        predict_files(config.resolved())
        return None
    return run.run("segment", config, make_job)


def make_job(config: SegmentConfig, folder: RunFolder, existing: RunFolder | None) -> SegmentJob:
    """The job of a run; an existing one that ends sooner or later must not depend on its length."""
    if existing and config.schedule == "poly" and config.resume:
        planned = existing.read_config()["settings"]["epochs"]
        if config.epochs != planned:
            raise UserError(
                f"{existing.path} was planned for {planned} epochs, at whose end its learning rate is 0: "
                "resume it without --epochs, or start a new run with --init-from"
            )
    give_back_large_arrays()
    data = load_dataset(config)
    if not existing:
        data.check()
    if config.voc_dir is None and config.archive is None:
        config = dataclasses.replace(config, dataset=data.facts["name"])
    job = SegmentJob(config.resolved(), data, folder)
    if existing:
        job.network.check_weights(existing)
    return job
