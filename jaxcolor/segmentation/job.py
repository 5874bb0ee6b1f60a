"""What a segmentation run does: training, validation, drawings, and the proof that frozen means frozen."""

from functools import cached_property
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxcolor.data.examples import VOID
from jaxcolor.errors import UserError
from jaxcolor.segmentation.config import SegmentConfig
from jaxcolor.segmentation.data import Dataset
from jaxcolor.segmentation.drawing import Panel, draw_confusion, draw_predictions
from jaxcolor.segmentation.frozen import fingerprint, is_trained
from jaxcolor.segmentation.inputs import Inputs
from jaxcolor.segmentation.network import Network
from jaxcolor.segmentation.scores import Confusion, scores
from jaxcolor.segmentation.task import make_steps
from jaxcolor.training.compilation import jit
from jaxcolor.training.curves import draw_curves
from jaxcolor.training.fit import Metrics, OnStep
from jaxcolor.training.run_folder import RunFolder
from jaxcolor.training.state import TrainState
from jaxcolor.trees import KeyPath, flatten

SAMPLES = 3  # images drawn of each kind: some from all over the split, the best and the worst
PANELS = {
    "loss (cross-entropy a pixel)": {"train_loss": "train", "val_loss": "validation"},
    "mean IoU": {"mean_iou": "validation"},
    "pixel accuracy": {"pixel_accuracy": "validation"},
}


class SegmentJob:
    """Data, network and compiled steps of a run; a `run.RunJob`."""

    def __init__(self, config: SegmentConfig, data: Dataset, folder: RunFolder):
        self.config = config
        self.data = data
        self.run = folder
        self.network = Network(config, len(data.classes))
        self.inputs = Inputs(config, data, self.network)
        self.facts = data.facts | {"weights_sha256": self.network.facts["sha256"]}
        self.images = len(data.train)
        self.evaluates_first = True
        self.confusion: Confusion = np.zeros((0, 0))  # of the last validation
        self.image_scores: Float[np.ndarray, " validation"] = np.zeros(0)  # mean IoU of each image
        self._frozen = ""

    def initial_state(self) -> TrainState:
        """Pretrained and new weights, and the optimizer's state for what is trained."""
        state = self.network.state(self.network.optimizer(self.config.epochs * self.inputs.steps()))
        self._frozen = fingerprint(state.variables, self.config.train)
        self.inputs.prepare(self._frozen)
        train, evaluate = make_steps(
            self.config.train, self.inputs.given, self.config.seed, jnp.asarray(self.class_weights)
        )
        self._train, self._evaluate = jit(train, donate_argnums=0), jit(evaluate)
        return state

    def is_kept(self, path: KeyPath) -> bool:
        """Checkpoints hold what is trained."""
        return self.network.is_kept(path)

    def describe(self, state: TrainState) -> dict[str, Any]:
        """Numbers of parameters, and where the weights come from, for config.json."""
        sizes = {path: leaf.size for path, leaf in flatten(state.params).items()}
        return {
            "parameters": sum(sizes.values()),
            "trained_parameters": sum(n for path, n in sizes.items() if is_trained(path, self.config.train)),
            "weights": self.network.facts,
            "class_weights": [round(float(weight), 4) for weight in self.class_weights],
        }

    def announce(self, record: dict[str, Any]) -> str:
        """Network and images in a line."""
        return (
            f"DeepLabV3 on {self.config.backbone}, output stride {self.config.output_stride}: "
            f"{record['trained_parameters']:,} of {record['parameters']:,} parameters are trained; "
            f"{self.facts['name']}: {self.facts['train']:,} train and {self.facts['validation']:,} "
            f"validation images, {len(self.data.classes)} classes"
        )

    def fill(self, folder: Path) -> None:
        """A new run's folder has nothing besides its settings."""

    def finish(self, state: TrainState, metrics: Metrics) -> None:
        """Prove that what is frozen is as it was, and print the scores."""
        if fingerprint(state.variables, self.config.train) != self._frozen:
            raise UserError("what is frozen has changed in training: a fault of jaxcolor, please report it")
        if self.config.train != "all":
            print("frozen: unchanged")
        self.show(state, metrics, None)

    def show(self, state: TrainState, metrics: Metrics, epoch: int | None) -> None:
        """Print the scores, and the IoU of each class."""
        if len(self.confusion):
            for name, iou in zip(self.data.classes, scores(self.confusion).iou, strict=True):
                print(f"  {name:14} IoU " + ("—" if np.isnan(iou) else f"{100 * iou:5.1f} %"))
        numbers = ("val_loss", "pixel_accuracy", "mean_accuracy", "mean_iou")
        print("final: " + " ".join(f"{n}={metrics[n]:.4f}" for n in numbers) + f" {self.run.path}")

    def train_epoch(self, state: TrainState, epoch: int, on_step: OnStep) -> tuple[TrainState, Metrics]:
        """Train on all images once; `train_loss` is the mean over their pixels, as they are weighted."""
        sums: list[dict[str, float]] = []
        pending: list[tuple[int, Any]] = []  # one step, so that the device need not wait for the host

        def collect() -> None:
            images, step = pending.pop()
            sums.append({name: float(value) for name, value in step.items()})
            on_step(images, sums[-1]["loss"] / max(sums[-1]["count"], 1e-12))

        for batch in self.inputs.train_batches(state, epoch):
            state, step = self._train(state, batch)
            if pending:
                collect()
            pending.append((int(batch["mask"].sum()), step))
        collect()
        return state, {"train_loss": sum(s["loss"] for s in sums) / sum(s["count"] for s in sums)}

    def evaluate(self, state: TrainState) -> Metrics:
        """Loss and scores over all pixels of the validation images, at their masks' own size."""
        classes = len(self.data.classes)
        confusion, loss, count = np.zeros((classes, classes)), 0.0, 0.0
        image_scores = np.full(len(self.data.validation), np.nan)
        for indices, batch in self.inputs.validation_batches(state):
            sums = {name: np.asarray(v, np.float64) for name, v in self._evaluate(state, batch).items()}
            confusion += sums["confusion"].sum(axis=0)
            loss, count = loss + sums["loss"].sum(), count + sums["count"].sum()
            for index, matrix in zip(indices, sums["confusion"], strict=False):
                if matrix.any():
                    image_scores[index] = scores(matrix).mean_iou
        self.confusion, self.image_scores = confusion, image_scores
        score = scores(confusion)
        return {
            "val_loss": float(loss / count),
            "pixel_accuracy": score.pixel_accuracy,
            "mean_accuracy": score.mean_accuracy,
            "mean_iou": score.mean_iou,
        }

    def draw(self, state: TrainState, epoch: int, history: list[dict[str, Any]], last: bool) -> None:
        """Curves and the confusion matrix each epoch; predictions now and then, and at the end."""
        draw_curves(self.run.path / "curves.png", history, PANELS)
        draw_confusion(self.run.path / "confusion.png", self.confusion, self.data.classes)
        if last or epoch % self.config.plot_every == 0:
            self.draw_samples(state, epoch)

    def draw_samples(self, state: TrainState, epoch: int) -> None:
        """ImageArray, truth, prediction and overlay of some images, and of the best and the worst."""
        sizes = self.inputs.splits["validation"].sizes
        scored = np.flatnonzero(~np.isnan(self.image_scores))
        order = scored[np.argsort(self.image_scores[scored])]
        spread = scored[np.linspace(0, len(scored) - 1, min(SAMPLES, len(scored))).astype(int)]
        panels = []
        for kind, indices in {"": spread, "best: ": order[::-1], "worst: ": order}.items():
            for index in indices[:SAMPLES].tolist():
                name, image, truth = self.data.validation[index]
                label = f"{kind}{name}\nmean IoU {100 * self.image_scores[index]:.0f} %"
                panels.append(Panel(label, image, truth, self.network.segment(state, image, sizes[index])))
        path = self.run.path / "predictions" / f"validation-epoch-{epoch:03}.png"
        title = f"{self.run.path.name}: validation images, after epoch {epoch}"
        draw_predictions(path, title, panels, self.data.classes)

    @cached_property
    def class_weights(self) -> Float[np.ndarray, " classes"]:
        """1, or 1 / √frequency, whose mean over the training pixels is 1."""
        classes = len(self.data.classes)
        if self.config.class_weights == "none":
            return np.ones(classes, np.float32)
        frequency = self.data.train_labels[:classes] / self.data.train_labels[:VOID].sum()
        weights = np.where(frequency > 0, 1 / np.sqrt(np.maximum(frequency, 1e-12)), 0)
        return (weights / (frequency * weights).sum()).astype(np.float32)
