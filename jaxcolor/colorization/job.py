"""A colorization run: `colorize(config)` trains, resumes, evaluates or predicts."""

import dataclasses
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.colorization.data import Dataset, LabeledImages, load_dataset, make_arrays
from jaxcolor.colorization.drawing import draw_activations, draw_grid
from jaxcolor.colorization.palette import Palette, draw_palette, fit_palette, load_palette, paint, to_bytes
from jaxcolor.colorization.predictor import PALETTE_FILE, build_network, in_batches
from jaxcolor.colorization.preprocess import bilinear_baseline, scale
from jaxcolor.colorization.scores import (
    BILINEAR,
    NETWORK,
    PERFECT,
    TABLE,
    ImageScores,
    colorfulness,
    describe_scores,
    score_baselines,
    score_images,
    write_image_scores,
)
from jaxcolor.colorization.task import evaluate_step, layer_outputs, predict, train_step
from jaxcolor.errors import UserError
from jaxcolor.files import write_atomically, write_json
from jaxcolor.layers import argmax
from jaxcolor.models import apply_function
from jaxcolor.predict import predict_files
from jaxcolor.training import run
from jaxcolor.training.batches import epoch_order, make_batches
from jaxcolor.training.compilation import jit
from jaxcolor.training.curves import draw_curves
from jaxcolor.training.engine import Engine, OnStep, keep_state
from jaxcolor.training.fit import Evaluation, Metrics
from jaxcolor.training.freezing import EVERYTHING
from jaxcolor.training.history import describe_best
from jaxcolor.training.run_folder import RunFolder
from jaxcolor.training.state import TrainState, create_state, initialize

SAMPLES = 10  # images per grid
SECONDS_BETWEEN_CURVES = 30  # drawing them takes a fifth of a second
PREDICTION_BATCH = 100
# By data set. On the small sample the validation loss of the default network is lowest after 7 to 9 epochs
# (seeds 0 to 2), and rises after that.
EPOCHS = {"cifar10": 25, "sample": 8}
ABOUT_SAMPLE = "These scores are for patches of eight photographs: they say nothing about CIFAR-10."
PANELS = {
    "loss (cross-entropy per pixel)": {"train_loss": "train", "val_loss": "validation"},
    "accuracy (share of pixels)": {"val_accuracy": "validation"},
}


def colorize(config: ColorizeConfig) -> Metrics | None:
    """Train, resume or evaluate a run, and return its last metrics; or color files. Raises `UserError`."""
    if config.predict:
        predict_files(config)
        return None
    return run.run("colorize", config, build_job)


def build_job(config: ColorizeConfig, folder: RunFolder, existing: RunFolder | None) -> "ColorizeJob":
    """Build a job from its settings. `existing` is the run to resume or read, or None."""
    build_network(config)  # before the data is loaded, since a wrong setting is an error
    dataset = load_dataset(config, existing)
    if config.activations >= len(dataset.validation):
        last = len(dataset.validation) - 1
        raise UserError(f"--activations {config.activations}: choose a validation image from 0 to {last}")
    palette = choose_palette(config, dataset, existing)
    config = resolve(config, dataset, existing)
    return ColorizeJob(dataclasses.replace(config, colors=len(palette)), dataset, palette, folder)


def resolve(config: ColorizeConfig, dataset: Dataset, existing: RunFolder | None) -> ColorizeConfig:
    """Return the settings with the data set, and the number of epochs that the run or the data decides."""
    name = dataset.facts["name"]
    epochs = existing.read_config()["settings"]["epochs"] if existing else EPOCHS[name]
    return dataclasses.replace(config, dataset=name, epochs=config.epochs or epochs)


def choose_palette(config: ColorizeConfig, dataset: Dataset, existing: RunFolder | None) -> Palette:
    """Return the palette of the existing run, of the settings, of the run to start from, or a new one."""
    if existing:
        return load_palette(existing.path / PALETTE_FILE)
    if config.palette:
        return load_palette(config.palette)
    if config.init_from:
        return load_palette(config.init_from / PALETTE_FILE)
    return fit_palette(dataset.train, config.colors, config.seed)


class ColorizeJob:
    """The data of a run on the device, and the compiled steps over it; a `run.Job`."""

    def __init__(self, config: ColorizeConfig, dataset: Dataset, palette: Palette, folder: RunFolder):
        self.config = config
        self.facts = dataset.facts
        self.palette = palette
        self.run = folder
        self.arrays = {
            "train": make_arrays(dataset.train, palette, config.downsize_input),
            "validation": make_arrays(dataset.validation, palette, config.downsize_input),
        }
        self.truth = {
            name: LabeledImages(getattr(dataset, name), np.asarray(arrays["labels"]))
            for name, arrays in self.arrays.items()
        }
        self.images = len(dataset.train)
        self.evaluates_first = False
        self.trainable = EVERYTHING

        model = build_network(config)
        variables = initialize(model, self.arrays["train"]["inputs"][:1], config.seed)
        self.initial_state = create_state(
            apply_function(model), variables, optax.adam(config.learning_rate), self.trainable
        )
        self._train = Engine(train_step)
        self._evaluate = Engine(keep_state(evaluate_step), donate=False)
        self._predict = jit(predict)
        self._curves_drawn = -np.inf  # when, in seconds of time.monotonic

    def describe(self) -> dict[str, Any]:
        """Return the number of parameters, for config.json."""
        return {"parameters": sum(leaf.size for leaf in jax.tree.leaves(self.initial_state.params))}

    def announce(self, record: dict[str, Any]) -> str:
        """Return network and images in a line."""
        facts = self.facts
        data = f"{facts['name']} {facts['category']}" if "category" in facts else facts["name"]
        return (
            f"{self.config.model}: {record['parameters']:,} parameters, {self.config.colors} colors; "
            f"{data}: {facts['train']:,} train and {facts['validation']:,} validation images"
        )

    def fill(self, folder: Path) -> None:
        """Write the palette, as an array and as an image."""
        write_atomically(folder / PALETTE_FILE, lambda file: np.save(file, self.palette))
        image = draw_palette(self.palette)
        write_atomically(folder / "palette.png", lambda file: image.save(file, format="png"))

    def finish(self, state: TrainState, evaluation: Evaluation) -> None:
        """Compare the scores of the last epoch with those of the baselines."""
        self.compare(state, evaluation, self.run.read_metrics()[-1]["epoch"])

    def show(self, state: TrainState, evaluation: Evaluation, epoch: int) -> None:
        """Compare the scores of a checkpoint with those of the baselines, and draw its activations."""
        self.compare(state, evaluation, epoch)
        self.draw_activations(state, epoch)

    def compare(self, state: TrainState, evaluation: Evaluation, epoch: int) -> None:
        """Print the scores of the validation images beside those of the baselines, and write the files."""
        truth = self.truth["validation"]
        baselines = score_baselines(self.truth["train"], truth, self.palette, self.config.downsize_input)
        predicted = self.predict_labels(state, self.arrays["validation"]["inputs"])
        perfect = baselines.pop(PERFECT)
        rows = baselines | {NETWORK: score_images(predicted, truth.labels, truth.images, self.palette)}
        rows[PERFECT] = perfect
        original = colorfulness(truth.images)
        print(describe_scores(rows, original))
        print(summarize(rows))
        if self.config.dataset == "sample":
            print(ABOUT_SAMPLE)
        if best := describe_best(self.run.read_metrics(), epoch):
            print(best)
        metrics = evaluation.metrics
        numbers = f"val_loss={metrics['val_loss']:.4f} val_accuracy={metrics['val_accuracy']:.4f}"
        print(f"final: {numbers} {self.run.path}", flush=True)
        scores = {
            "epoch": epoch,
            **metrics,
            "scores": {name: row._asdict() for name, row in rows.items()},
            "colorfulness_of_originals": original,
        }
        write_json(self.run.path / "scores.json", scores)
        file = self.run.path / "scores.csv"
        write_image_scores(file, predicted, truth.labels, truth.images, self.palette)

    def train_epoch(self, state: TrainState, epoch: int, on_step: OnStep) -> tuple[TrainState, Metrics]:
        """Train on all images once. `train_loss` is the mean over the images as they were trained on."""
        order = epoch_order(self.images, self.config.seed, epoch, self.config.shuffle)
        batches = make_batches(order, self.config.batch_size)
        state, sums = self._train(state, batches, self.arrays["train"], on_step)
        return state, {"train_loss": float(sums["loss"] / sums["count"])}

    def evaluate(self, state: TrainState) -> Evaluation:
        """Return the mean loss and accuracy over all validation images."""
        data = self.arrays["validation"]
        batches = make_batches(np.arange(len(data["labels"])), self.config.batch_size)
        _, sums = self._evaluate(state, batches, data)
        return Evaluation(
            {
                "val_loss": float(sums["loss"] / sums["count"]),
                "val_accuracy": float(sums["correct"] / sums["count"]),
            }
        )

    def predict_labels(self, state: TrainState, inputs: Array) -> np.ndarray:
        """Return the palette indices of inputs; there is one program for any number of them."""
        return in_batches(partial(self._predict, state), inputs, PREDICTION_BATCH)

    def draw(
        self, state: TrainState, epoch: int, history: list[dict[str, Any]], evaluation: Evaluation, last: bool
    ) -> None:
        """Draw sample grids every few epochs, curves now and then, and activations at the end."""
        if last or epoch % self.config.plot_every == 0:
            for split in self.arrays:
                self.draw_samples(state, split, epoch)
        if last or time.monotonic() - self._curves_drawn > SECONDS_BETWEEN_CURVES:
            names = dict.fromkeys([self.run.path.name, self.config.model])  # often the same
            draw_curves(self.run.path / "curves.png", ": ".join(names), history, PANELS)
            self._curves_drawn = time.monotonic()
        if last:
            self.draw_activations(state, epoch)

    def draw_samples(self, state: TrainState, split: str, epoch: int) -> None:
        """Draw input, truth and prediction of the first images of a split."""
        inputs, labels = self._examples(split, 0, SAMPLES)
        rows = {
            "input" if self.config.downsize_input else "gray": to_bytes(np.asarray(inputs)),
            "truth (palette)": paint(np.asarray(labels), self.palette),
            "prediction": paint(self.predict_labels(state, inputs), self.palette),
        }
        if self.config.downsize_input:
            originals = jnp.asarray(self.truth[split].images[:SAMPLES])
            rows["bilinear"] = to_bytes(np.asarray(bilinear_baseline(scale(originals))))
        path = self.run.path / "samples" / f"{split}-epoch-{epoch:03}.png"
        draw_grid(path, f"{self.run.path.name}: {split}, after epoch {epoch}", rows)

    def draw_activations(self, state: TrainState, epoch: int) -> None:
        """Draw the outputs of the network's modules for one validation image."""
        index = self.config.activations
        inputs, labels = self._examples("validation", index, index + 1)
        outputs = jax.jit(partial(layer_outputs, train=False))(state, inputs)
        predicted = np.asarray(argmax(outputs.pop("logits")))
        images = {
            "input": to_bytes(np.asarray(inputs))[0],
            "prediction": paint(predicted, self.palette)[0],
            "truth": paint(np.asarray(labels), self.palette)[0],
        }
        layers = {name: np.asarray(values[0], np.float32) for name, values in outputs.items()}
        path = self.run.path / "activations" / f"image-{index}-epoch-{epoch:03}.png"
        title = f"{self.run.path.name}: activations of validation image {index}, after epoch {epoch}"
        draw_activations(path, title, images, layers)

    def _examples(self, split: str, start: int, stop: int) -> tuple[Array, Array]:
        arrays = self.arrays[split]
        return arrays["inputs"][start:stop], arrays["labels"][start:stop]


def summarize(rows: dict[str, ImageScores]) -> str:
    """Compare the network with the better baseline in a sentence."""
    name = BILINEAR if BILINEAR in rows else TABLE
    ours, theirs = 100 * rows[NETWORK].accuracy, 100 * rows[name].accuracy
    which = "more" if ours > theirs else "fewer"
    amount = "as many pixels right as" if ours == theirs else f"{which} pixels right than"
    what = (
        "the bilinear enlargement of the input"
        if name == BILINEAR
        else "the gray-level table, which gives every gray level its most frequent color"
    )
    return f"The network colors {amount} {what}: {ours:.1f} % and {theirs:.1f} %."
