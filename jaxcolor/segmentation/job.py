"""A segmentation run: `segment(config)` trains, resumes, evaluates or predicts."""

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict
from jaxtyping import Float

from jaxcolor.data.shapes import SHAPES
from jaxcolor.errors import UserError
from jaxcolor.models.backbones import BACKBONES
from jaxcolor.models.segmentation import SegmentationNet
from jaxcolor.predict import predict_files
from jaxcolor.pretrained.networks import Pretrained
from jaxcolor.segmentation.config import WEIGHTED, SegmentConfig
from jaxcolor.segmentation.data import Dataset, load_dataset
from jaxcolor.segmentation.drawing import Panel, draw_legend, draw_predictions
from jaxcolor.segmentation.inspection import inspect
from jaxcolor.segmentation.loader import Loader
from jaxcolor.segmentation.losses import make_class_weights, make_loss
from jaxcolor.segmentation.model import build_model, check_weights, default_stride, load_variables
from jaxcolor.segmentation.predictor import LabelPredictor, load_segmenter
from jaxcolor.segmentation.scores import (
    METRICS,
    Confusion,
    Scores,
    count_confusion,
    describe_classes,
    explain,
    means,
    scores,
    write_image_scores,
    write_scores,
)
from jaxcolor.segmentation.task import BACKBONE, TRAINABLE, evaluate_step, make_train_step
from jaxcolor.training import run
from jaxcolor.training.devices import Devices
from jaxcolor.training.engine import WHOLE_EPOCH, Engine, Midway, OnStep, keep_state
from jaxcolor.training.fit import Draw, Evaluation, Metrics
from jaxcolor.training.freezing import Trainable
from jaxcolor.training.history import History, describe_best
from jaxcolor.training.memory import return_large_arrays
from jaxcolor.training.optimizers import make_optimizer, make_schedule
from jaxcolor.training.processes import local
from jaxcolor.training.progress import Progress
from jaxcolor.training.run_folder import RunFolder, find_run
from jaxcolor.training.state import TrainState, create_state

HEAD_NAMES = {
    "deeplabv3": "DeepLabV3",
    "deeplabv3plus": "DeepLabV3+",
    "deeplabv3plus-separable": "DeepLabV3+ (separable)",
    "fpn": "Feature pyramid",
    "fcn": "FCN",
    "lraspp": "LR-ASPP",
}
SAMPLES = 3  # images drawn of each kind: some from all over the split, the best and the worst
ABOUT_SAMPLE = "These scores are for generated shapes: they say nothing about VOC."
LOSSES = {"train_loss": "train", "val_loss": "validation"}
PANELS = {
    "mean IoU": {"mean_iou": "validation"},
    "pixel accuracy": {"pixel_accuracy": "validation"},
}


def segment(config: SegmentConfig, since: float | None = None) -> Metrics | None:
    """Train, resume or evaluate a run, and return its last metrics; or segment files. Raises `UserError`.

    `since` is as in `run.run`.
    """
    if config.predict:
        model = load_segmenter(find_run(config.folder), config.checkpoint)
        predict_file = partial(model.predict_file, tta=config.tta, window=config.window)
        predict_files(config.predict, config.predictions, predict_file)
        return None
    if config.inspect:
        inspect(config.data_path, config.classes)
        return None
    return run.run(config, build_job, since)


def build_job(config: SegmentConfig, folder: RunFolder, existing: RunFolder | None) -> "SegmentJob":
    """Build a job from its settings. `existing` is the run to resume or read, or None."""
    record = existing.read_config() if existing else None
    return_large_arrays()
    data = load_dataset(config, existing)
    config = resolve(config, data)
    model = build_model(config, len(data.classes))
    pretrained = load_variables(model, config)
    if record:
        check_weights(pretrained.facts, record["weights"], folder.path)
    return SegmentJob(config, data, model, pretrained, folder)


def resolve(config: SegmentConfig, data: Dataset) -> SegmentConfig:
    """Return the settings with the defaults that depend on the backbone and the data."""
    if config.voc_dir is None and config.archive is None:
        config = dataclasses.replace(config, dataset=data.facts["name"])
    weights = config.class_weights
    is_unweighted = data.is_voc or data.classes == SHAPES or not set(config.loss) & WEIGHTED
    shorter_side = (256 if config.dataset == "sample" else 520,)
    is_backbone = config.backbone in BACKBONES
    return dataclasses.replace(
        config,
        output_stride=config.output_stride
        or (default_stride(config.backbone, config.head) if is_backbone else None),
        image_size=config.image_size or (() if config.crop else shorter_side),
        class_weights=weights if weights != "auto" else "none" if is_unweighted else "sqrt",
    )


def build_optimizer(config: SegmentConfig, schedule: optax.Schedule | float) -> optax.GradientTransformation:
    """Return the optimizer with the options of the settings."""
    optimizer = make_optimizer(config.optimizer, schedule, config.weight_decay)
    if config.backbone_rate != 1:
        optimizer = optax.chain(optimizer, optax.masked(optax.scale(config.backbone_rate), BACKBONE.mask))
    if config.clip is not None:
        optimizer = optax.chain(optax.clip_by_global_norm(config.clip), optimizer)
    return optimizer


@dataclasses.dataclass(frozen=True)
class Details:
    """The part of an evaluation that is drawn and written to files."""

    confusion: Confusion
    image_scores: list[Scores | None]  # of each image, None if it is all void

    @property
    def mean_ious(self) -> Float[np.ndarray, " validation"]:
        """The mean IoU of each image, nan if it is all void."""
        return np.array([found.mean_iou if found else np.nan for found in self.image_scores])


class SegmentJob:
    """Data, network and compiled steps of a run; a `run.Job`."""

    def __init__(
        self,
        config: SegmentConfig,
        data: Dataset,
        model: SegmentationNet,
        pretrained: Pretrained,
        folder: RunFolder,
    ):
        self.config = config
        self.data = data
        self.run = folder
        self.weights = pretrained.facts
        self.facts = data.facts | {"weights_sha256": pretrained.facts["sha256"]}
        self.images = len(data.train)
        self.evaluates_first = True
        self.trainable = TRAINABLE[config.train]
        counts = data.train_labels if config.class_weights != "none" else np.zeros(256, np.int64)
        self.class_weights = make_class_weights(config.class_weights, counts, len(data.classes))

        self.fingerprint = self.trainable.fingerprint(pretrained.variables)
        self.devices = devices = Devices(config.devices)
        self.loader = Loader(config, data, model, self.fingerprint, devices)
        steps = config.epochs * self.loader.steps()
        schedule = make_schedule(config.schedule, config.learning_rate, steps, config.warm_up)
        optimizer = build_optimizer(config, schedule)
        state = create_state(model.apply, pretrained.variables, optimizer, self.trainable, config.ema)
        self.initial_state = devices.copy(state)
        after = self.loader.after
        loss = make_loss(config.loss, jnp.asarray(self.class_weights), devices.count)
        self._train = Engine(make_train_step(config.train, after, config.seed, loss), devices=devices)
        step = keep_state(partial(evaluate_step, after, devices.count))
        self._evaluate = Engine(step, donate=False, devices=devices)
        self._label = LabelPredictor(model)

    def describe(self) -> dict[str, Any]:
        """Return the numbers of parameters, and the origin of the weights, for config.json."""
        sizes = {path: leaf.size for path, leaf in flatten_dict(self.initial_state.params).items()}
        return {
            "parameters": sum(sizes.values()),
            "trainable_parameters": sum(n for path, n in sizes.items() if self.trainable(path)),
            "weights": self.weights,
            "class_weights": [round(float(weight), 4) for weight in self.class_weights],
        }

    def trainable_in(self, settings: SegmentConfig) -> Trainable:
        """Return the trainable part of a run with these settings."""
        return TRAINABLE[settings.train]

    def announce(self, record: dict[str, Any]) -> str:
        """Return network and images in a line."""
        void = "" if self.data.counted is None else f", {100 * self.data.void_share:.1f} % void"
        return (
            f"{HEAD_NAMES[self.config.head]} on {self.config.backbone}, output stride "
            f"{self.config.output_stride}: "
            f"{record['trainable_parameters']:,} of {record['parameters']:,} parameters are trainable; "
            f"{self.facts['name']}: {self.facts['train']:,} train and {self.facts['validation']:,} "
            f"validation images, {len(self.data.classes)} classes{void}"
        )

    def fill(self, folder: Path) -> None:
        """Draw the legend of masks, overlays and sheets, and write the lists of names that --split made."""
        draw_legend(folder / "predictions" / "legend.png", self.data.classes)
        self.data.write_split(folder)

    def finish(self, state: TrainState, evaluation: Evaluation) -> None:
        """Check that the frozen part has not changed, and print the scores."""
        if self.trainable.fingerprint(state.variables) != self.fingerprint:
            raise UserError("the frozen part has changed during training: this is a bug, please report it")
        if self.config.train != "all":
            print("The frozen weights are unchanged.")
        self.show(state, evaluation, self.run.read_metrics()[-1]["epoch"])

    def show(self, state: TrainState, evaluation: Evaluation, epoch: int) -> None:
        """Print the IoU of each class, the scores and their meaning, and write them to files."""
        confusion, classes = evaluation.details.confusion, self.data.classes
        print(describe_classes(confusion, classes))
        print(explain(confusion, classes))
        if self.config.dataset == "sample":
            print(ABOUT_SAMPLE)
        if best := describe_best(self.run.read_metrics(), epoch, self.config.best):
            print(best)
        metrics = evaluation.metrics
        numbers = " ".join(f"{name}={metrics[name]:.4f}" for name in METRICS if name in metrics)
        print(f"final: {numbers} {self.run.path}", flush=True)
        write_scores(self.run.path / "scores.json", epoch, evaluation.metrics, confusion, classes)
        names = self.data.validation.names
        write_image_scores(self.run.path / "scores.csv", names, evaluation.details.image_scores, classes)

    def train_epoch(
        self, state: TrainState, epoch: int, on_step: OnStep, midway: Midway = WHOLE_EPOCH
    ) -> tuple[TrainState, Metrics]:
        """Train on all images once. `train_loss` is the mean over the pixels, with their weights."""
        batches = self.loader.train_batches(state, epoch, midway.steps)
        state, sums = self._train(state, batches, on_step=on_step, midway=midway)
        return state, {"train_loss": float(sums["loss"] / sums["count"])}

    def evaluate(self, state: TrainState) -> Evaluation:
        """Return loss and scores over all pixels of the validation images, at their label maps' size.

        Scores of several views, which `--tta` and `--window` ask for, have no loss.
        """
        if self.config.tta or self.config.window:
            return self._evaluate_views(state)
        image_scores: list[Scores | None] = [None] * len(self.data.validation)
        indices, batches = self.loader.validation_batches(state)
        remaining = iter(indices)

        def on_step(images: int, sums: dict[str, Any]) -> None:
            for index, confusion in zip(next(remaining), sums["confusion"], strict=False):
                if confusion.any():
                    image_scores[index] = scores(confusion)

        _, sums = self._evaluate(state, batches, on_step=on_step)
        confusion = sums["confusion"].sum(axis=0)
        loss = {"val_loss": float(sums["loss"].sum() / sums["count"].sum())}
        return Evaluation(loss | means(scores(confusion)), Details(confusion, image_scores))

    def _evaluate_views(self, state: TrainState) -> Evaluation:
        validation, sizes, config = self.data.validation, self.loader.splits["validation"].sizes, self.config
        state = local(state)
        confusions = []
        with Progress(len(validation), 0, "evaluating") as progress:
            for index, size in enumerate(sizes):
                _, image, truth = validation[index]
                labels = self._label(state, image, size, config.tta, config.window)
                confusions.append(count_confusion(truth, labels, len(self.data.classes)))
                progress.advance(1, "evaluating")
        image_scores = [scores(confusion) if confusion.any() else None for confusion in confusions]
        confusion = np.sum(confusions, axis=0)
        return Evaluation(means(scores(confusion)), Details(confusion, image_scores))

    def draw(
        self, state: TrainState, epoch: int, history: list[dict[str, Any]], evaluation: Evaluation, last: bool
    ) -> list[Draw]:
        """Draw curves and the confusion matrix, and predictions every few epochs and at the end."""
        drawings: list[Draw] = [partial(self._draw_figures, epoch, history, evaluation.details.confusion)]
        if last or epoch % self.config.plot_every == 0:
            drawings.append(self._predictions(state, epoch, evaluation.details.mean_ious))
        return drawings

    def _draw_figures(self, epoch: int, history: History, confusion: Confusion) -> None:
        # Importing Matplotlib takes half a second.
        from jaxcolor.segmentation.confusion_matrix import draw_confusion
        from jaxcolor.training.curves import draw_curves

        name, folder = self.run.path.name, self.run.path
        draw_curves(
            folder / "curves.png",
            f"{name}: {HEAD_NAMES[self.config.head]} on {self.config.backbone}",
            history,
            {loss_label(self.config.loss): LOSSES} | PANELS,
            self.config.best,
        )
        title = f"{name}: confusion of the validation pixels, after epoch {epoch}"
        draw_confusion(folder / "confusion.png", title, confusion, self.data.classes)

    def _predictions(
        self, state: TrainState, epoch: int, mean_ious: Float[np.ndarray, " validation"]
    ) -> Draw:
        """Return the drawing of some images with their predictions, the best and the worst among them."""
        sizes = self.loader.splits["validation"].sizes
        panels = []
        for kind, indices in choose_samples(mean_ious).items():
            for index in indices:
                name, image, truth = self.data.validation[index]
                label = f"{kind}{name}\nmean IoU {100 * mean_ious[index]:.0f} %"
                panels.append(Panel(label, image, truth, self._label(state, image, sizes[index])))
        path = self.run.path / "predictions" / f"validation-epoch-{epoch:03}.png"
        title = f"{self.run.path.name}: validation images, after epoch {epoch}"
        return partial(draw_predictions, path, title, panels, self.data.classes)


def loss_label(losses: Sequence[str]) -> str:
    """Return the label of the curves of the losses. That of the validation images is the cross-entropy."""
    names = " + ".join(losses)
    return f"loss ({names})" if names == "cross-entropy" else f"loss ({names}; validation: cross-entropy)"


def choose_samples(mean_ious: Float[np.ndarray, " validation"]) -> dict[str, list[int]]:
    """Return the indices of images to draw, by kind: some from all over the split, the best and the worst.

    No image is chosen twice. Images without a score, which are all void, are left out.
    """
    scored = np.flatnonzero(~np.isnan(mean_ious))
    spread = scored[np.linspace(0, len(scored) - 1, min(SAMPLES, len(scored))).astype(int)].tolist()
    order = [index for index in scored[np.argsort(mean_ious[scored])].tolist() if index not in spread]
    best = order[::-1][:SAMPLES]
    worst = [index for index in order if index not in best][:SAMPLES]
    return {"": spread, "best: ": best, "worst: ": worst}
