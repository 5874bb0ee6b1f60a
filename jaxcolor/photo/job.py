"""A run that colors photographs: `color_photos(config)` trains, resumes, evaluates or predicts."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict
from jaxtyping import UInt8

from jaxcolor import oklab
from jaxcolor.drawing import draw_grid
from jaxcolor.errors import UserError, reason
from jaxcolor.files import write_json
from jaxcolor.models.photo import STRIDE, PhotoNet
from jaxcolor.models.variables import with_initialized
from jaxcolor.photo.chroma import CHROMA_FILE, Chroma, count, load_chroma, make_chroma, save_chroma
from jaxcolor.photo.config import PhotoConfig
from jaxcolor.photo.data import PhotoDataset, Photographs, find_photographs, load_cifar_photographs
from jaxcolor.photo.model import build_model, check_backbone, load_backbone
from jaxcolor.photo.predictor import PhotoColorizer, load_photo_colorizer
from jaxcolor.photo.scores import describe as describe_scores
from jaxcolor.photo.scores import methods, score_photographs
from jaxcolor.photo.shipped import load_shipped
from jaxcolor.photo.task import (
    BACKBONE,
    TRAINABLE,
    evaluate_step,
    make_tables,
    make_train_step,
    predict_chroma,
    to_lab,
)
from jaxcolor.predict import predict_files
from jaxcolor.pretrained.networks import Pretrained
from jaxcolor.training import run
from jaxcolor.training.batches import epoch_order, make_batches
from jaxcolor.training.devices import Devices
from jaxcolor.training.engine import WHOLE_EPOCH, Engine, Midway, OnStep, keep_state
from jaxcolor.training.fit import Draw, Evaluation, Metrics
from jaxcolor.training.freezing import Trainable
from jaxcolor.training.history import describe_best
from jaxcolor.training.optimizers import make_optimizer, make_schedule
from jaxcolor.training.programs import Program
from jaxcolor.training.run_folder import RunFolder, find_run
from jaxcolor.training.state import TrainState, create_state

SKIPPED_FILE = "skipped.json"
SAMPLES = 10  # images per grid
SCORED = 200  # validation images, at the end
COUNTED = 10_000  # training images that the bins and the prior are counted on
PANELS = {
    "loss (weighted cross-entropy)": {"train_loss": "train", "val_loss": "validation"},
    "PSNR, dB": {"psnr": "validation"},
}


def color_photos(config: PhotoConfig, since: float | None = None) -> Metrics | None:
    """Train, resume or evaluate a run, and return its last metrics; or color files. Raises `UserError`.

    `since` is as in `run.run`.
    """
    if config.predict:
        writer = load_photo_colorizer(find_run(config.folder, config.TASK), config.checkpoint).file_writer
        color_file = writer(config.vividness, config.average)
        predict_files(config.predict, config.predictions, color_file, keep_suffix=True)
        return None
    return run.run(config, build_job, since)


def build_job(config: PhotoConfig, folder: RunFolder, existing: RunFolder | None) -> "PhotoJob":
    """Build a job from its settings. `existing` is the run to resume or read, or None."""
    data = load_photographs(config, existing)
    chroma = choose_chroma(config, data, existing)
    model = build_model(config, len(chroma.centers))
    backbone = load_backbone(model)
    if existing:
        recorded = existing.read_config()["weights"]["sha256"]
        check_backbone(backbone.facts["sha256"], recorded, str(existing.path))
    return PhotoJob(config, data, chroma, model, backbone, folder)


def load_photographs(config: PhotoConfig, existing: RunFolder | None) -> PhotoDataset:
    """Return the images that the settings name. Raises `UserError` if they name none."""
    if config.category:
        md5 = existing.read_config()["dataset"]["archive_md5"] if existing else None
        return load_cifar_photographs(config.category, config.archive, config.data_dir, config.crop, md5)
    if config.image_dir:
        return find_photographs(config.image_dir, config.crop, read_skipped(existing) if existing else None)
    raise UserError(
        "give a folder or a zip archive of color images with --image-dir, or CIFAR-10 with --category all"
    )


def check_trains_enough(config: PhotoConfig, earlier: PhotoConfig) -> None:
    """Raise `UserError` if a run would freeze what an earlier one, from which it starts, has trained."""
    parts = list(TRAINABLE)
    if parts.index(earlier.train) > parts.index(config.train):
        raise UserError(
            f"the weights to start from have more trained parts than --train {config.train}: "
            f"add --train {earlier.train}"
        )


def read_skipped(existing: RunFolder) -> dict[str, str]:
    """Return the files that a run leaves out."""
    path = existing.path / SKIPPED_FILE
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged: {reason(error)}") from error


def choose_chroma(config: PhotoConfig, data: PhotoDataset, existing: RunFolder | None) -> Chroma:
    """Return the bins of the existing run, of the run to start from, or those of the training images."""
    if existing:
        return load_chroma(existing.path / CHROMA_FILE)
    if config.starts_from_shipped:
        return load_shipped().chroma
    if config.init_from:
        return load_chroma(config.init_from / CHROMA_FILE)
    order = epoch_order(len(data.train), config.seed, 0, "epoch")[:COUNTED]

    def images() -> Iterator[UInt8[np.ndarray, "batch side side 3"]]:
        for batch in data.train.batches(make_batches(order, config.batch_size), (config.seed, 0)):
            yield batch["images"]

    return make_chroma(count(images(), STRIDE))


class PhotoJob:
    """Data, network and compiled steps of a run; a `run.Job`."""

    def __init__(
        self,
        config: PhotoConfig,
        data: PhotoDataset,
        chroma: Chroma,
        model: PhotoNet,
        backbone: Pretrained,
        folder: RunFolder,
    ):
        self.config = config
        self.data = data
        self.chroma = chroma
        self.model = model
        self.run = folder
        self.weights = backbone.facts
        self.facts = data.facts
        self.images = len(data.train)
        self.evaluates_first = True
        self.trainable = TRAINABLE[config.train]
        self.fingerprint = self.trainable.fingerprint(backbone.variables)
        if config.starts_from_shipped:
            shipped = load_shipped()
            run.check_same_network(config, shipped.config, "the network that comes with jaxcolor")
            check_trains_enough(config, shipped.config)
            check_backbone(
                backbone.facts["sha256"], shipped.backbone_sha256, "the network that comes with jaxcolor"
            )
            variables = jax.tree.map(jnp.copy, shipped.variables)
        else:
            variables = with_initialized(model, backbone.variables, config.seed)
        steps = config.epochs * len(make_batches(np.arange(self.images), config.batch_size).indices)
        schedule = make_schedule(config.schedule, config.learning_rate, steps, config.warm_up)
        optimizer = optax.chain(
            make_optimizer("adamw", schedule, config.weight_decay),
            optax.masked(optax.scale(config.backbone_rate), BACKBONE.mask),
        )
        self.devices = devices = Devices(config.devices)
        state = create_state(model.apply, variables, optimizer, self.trainable, config.ema)
        self.initial_state = devices.copy(state)
        tables = make_tables(chroma, config.rebalance)
        self._train = Engine(make_train_step(tables, config.train), devices=devices)
        self._evaluate = Engine(
            keep_state(partial(evaluate_step, tables, config.vividness)), donate=False, devices=devices
        )
        self._predict = Program(partial(predict_chroma, tables))

    def describe(self) -> dict[str, Any]:
        """Return the numbers of parameters and bins, and the origin of the weights, for config.json."""
        sizes = {path: leaf.size for path, leaf in flatten_dict(self.initial_state.params).items()}
        return {
            "parameters": sum(sizes.values()),
            "trainable_parameters": sum(n for path, n in sizes.items() if self.trainable(path)),
            "bins": len(self.chroma.centers),
            "weights": self.weights,
        }

    def trainable_in(self, settings: PhotoConfig) -> Trainable:
        """Return the trainable part of a run with these settings. This run must train all of it."""
        check_trains_enough(self.config, settings)
        return TRAINABLE[settings.train]

    def announce(self, record: dict[str, Any]) -> str:
        """Return network and images in a line."""
        return (
            f"photo: {record['trainable_parameters']:,} of {record['parameters']:,} parameters are "
            f"trainable, {record['bins']} colors; {self.facts['train']:,} train and "
            f"{self.facts['validation']:,} validation images"
        )

    def fill(self, folder: Path) -> None:
        """Write the bins, and the list of the images that are left out."""
        save_chroma(folder / CHROMA_FILE, self.chroma)
        write_json(folder / SKIPPED_FILE, self.data.skipped)

    def finish(self, state: TrainState, evaluation: Evaluation) -> None:
        """Check that the frozen part has not changed, and print the scores."""
        if self.trainable.fingerprint(state.variables) != self.fingerprint:
            raise UserError("the frozen part has changed during training: this is a bug, please report it")
        self.show(state, evaluation, self.run.read_metrics()[-1]["epoch"])

    def show(self, state: TrainState, evaluation: Evaluation, epoch: int) -> None:
        """Print the scores, and write them to a file."""
        metrics = evaluation.metrics
        colorizer = PhotoColorizer(self.model, state.averaged, self.chroma, self.config)
        validation = self.data.validation
        chosen = spread(len(validation), SCORED)
        images = (validation.middle(index) for index in chosen)
        config = self.config
        scored = methods(colorizer, self.chroma, config.vividness, config.average)
        scores = score_photographs(images, scored)
        side = config.crop[0]
        print(f"{len(chosen)} of {len(validation)} validation images, cut to {side}×{side}:")
        print(describe_scores(scores))
        if best := describe_best(self.run.read_metrics(), epoch, self.config.best):
            print(best)
        print(f"final: val_loss={metrics['val_loss']:.4f} psnr={metrics['psnr']:.2f} {self.run.path}")
        by_name = {name: row._asdict() for name, row in scores.items()}
        write_json(self.run.path / "scores.json", {"epoch": epoch, **metrics, "scores": by_name})

    def train_epoch(
        self, state: TrainState, epoch: int, on_step: OnStep, midway: Midway = WHOLE_EPOCH
    ) -> tuple[TrainState, Metrics]:
        """Train on all images once."""
        config = self.config
        order = epoch_order(self.images, config.seed, epoch, "epoch")
        indices = make_batches(order, config.batch_size, self.devices.count)
        rows = self.devices.rows(indices.indices.shape[1])
        batches = self.data.train.batches(indices, (config.seed, epoch), rows, midway.steps)
        state, sums = self._train(state, batches, on_step=on_step, midway=midway)
        return state, {"train_loss": float(sums["loss"] / sums["count"])}

    def evaluate(self, state: TrainState) -> Evaluation:
        """Return quick scores of the validation images, cut to their middles.

        Chroma is enlarged bilinearly, and colors outside of sRGB are clipped. `show` scores what `predict`
        returns.
        """
        validation = self.data.validation
        batches = make_batches(np.arange(len(validation)), self.config.batch_size, self.devices.count)
        rows = self.devices.rows(batches.indices.shape[1])
        _, sums = self._evaluate(state, validation.batches(batches, rows=rows))

        def psnr(name: str) -> float:
            return float(-10 * np.log10(sums[name] / sums["count"]))

        return Evaluation(
            {
                "val_loss": float(sums["loss"] / sums["weight"]),
                "psnr": psnr("vivid"),
                "safe_psnr": psnr("safe"),
                "gray_psnr": psnr("gray"),
                "relative_chroma": float(sums["colors"] / sums["true_colors"]),
            }
        )

    def draw(
        self, state: TrainState, epoch: int, history: list[dict[str, Any]], evaluation: Evaluation, last: bool
    ) -> list[Draw]:
        """Draw the curves, and colored validation images every few epochs and at the end."""
        drawings: list[Draw] = [partial(self._draw_curves, history)]
        if last or epoch % self.config.plot_every == 0:
            drawings.append(self._samples(state, epoch))
        return drawings

    def _draw_curves(self, history: list[dict[str, Any]]) -> None:
        from jaxcolor.training.curves import draw_curves  # importing Matplotlib takes half a second

        draw_curves(self.run.path / "curves.png", self.run.path.name, history, PANELS, self.config.best)

    def _samples(self, state: TrainState, epoch: int) -> Draw:
        """Return the drawing of validation images: gray, the original, and colors at several vividnesses."""
        images = samples_of(self.data.validation)
        lab = jax.jit(to_lab)(jnp.asarray(images))
        gray = paint(lab, jnp.zeros((len(images), 1, 1, 2)))
        rows = {"gray": np.asarray(gray), "original": images}
        for vividness in dict.fromkeys((0.0, self.config.vividness, 1.0)):
            chroma = self._predict(state, lab[..., 0], np.float32(vividness))
            rows[f"vividness {vividness:g}"] = np.asarray(paint(lab, chroma))
        path = self.run.path / "samples" / f"validation-epoch-{epoch:03}.png"
        return partial(draw_grid, path, f"{self.run.path.name}: validation, after epoch {epoch}", rows)


def samples_of(validation: Photographs) -> UInt8[np.ndarray, "n side side 3"]:
    """Return the middles of some images from all over the split."""
    return np.stack([validation.middle(index) for index in spread(len(validation), SAMPLES)])


def spread(images: int, count: int) -> list[int]:
    """Return the indices of at most `count` images from all over a split."""
    return np.linspace(0, images - 1, min(count, images)).astype(int).tolist()


@jax.jit
def paint(lab: jax.Array, chroma: jax.Array) -> jax.Array:
    """Return uint8 images with the lightness of `lab` [batch, height, width, 3] and enlarged chroma."""
    large = jax.image.resize(chroma, (*lab.shape[:3], 2), "bilinear")
    colors = oklab.to_srgb(jnp.concatenate([lab[..., :1], large], axis=-1))
    return jnp.round(255 * colors.clip(0, 1)).astype(jnp.uint8)
