"""A colorization run: `colorize(config)` trains, resumes, evaluates or predicts."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.colorization.data import Dataset, LabeledImages, load_dataset, make_arrays
from jaxcolor.colorization.drawing import draw_activations
from jaxcolor.colorization.palette import (
    Palette,
    draw_palette,
    fit_palette,
    load_palette,
    nearest_color,
    paint,
    to_bytes,
)
from jaxcolor.colorization.predictor import (
    PALETTE_FILE,
    build_network,
    in_batches,
    load_colorizer,
    load_prior_of,
    make_apply,
)
from jaxcolor.colorization.preprocess import bilinear_baseline, scale
from jaxcolor.colorization.prior import PRIOR_FILE, LogPrior, count_colors, log_prior
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
from jaxcolor.colorization.task import evaluate_step, layer_outputs, make_train_step, predict
from jaxcolor.drawing import draw_grid
from jaxcolor.errors import UserError
from jaxcolor.files import write_atomically, write_json
from jaxcolor.predict import predict_files
from jaxcolor.training import run
from jaxcolor.training.batches import Batches, epoch_order, make_batches
from jaxcolor.training.compilation import jit_once
from jaxcolor.training.devices import Devices
from jaxcolor.training.engine import WHOLE_EPOCH, Engine, Midway, OnStep, keep_state
from jaxcolor.training.fit import Draw, Evaluation, Metrics
from jaxcolor.training.freezing import EVERYTHING, Trainable
from jaxcolor.training.history import History, describe_best
from jaxcolor.training.optimizers import make_optimizer, make_schedule
from jaxcolor.training.processes import local
from jaxcolor.training.programs import Program, background
from jaxcolor.training.run_folder import RunFolder, find_run
from jaxcolor.training.state import TrainState, create_state, initialize

SAMPLES = 10  # images per grid
SECONDS_BETWEEN_CURVES = 30  # drawing them takes a fifth of a second
PREDICTION_BATCH = 100
# By data set. On the small sample the validation loss of the default network is lowest after 7 to 9 epochs
# (seeds 0 to 2), and rises after that.
EPOCHS = {"cifar10": 25, "sample": 8}
ABOUT_SAMPLE = "These scores are for patches of eight photographs: they say nothing about CIFAR-10."
BETTER = "resunet"
ABOUT_BETTER = "--model resunet gets 68 % of the pixels of CIFAR-10's horses right, in 3 minutes."
PANELS = {
    "loss (cross-entropy per pixel)": {"train_loss": "train", "val_loss": "validation"},
    "accuracy (share of pixels)": {"val_accuracy": "validation"},
}


def colorize(config: ColorizeConfig, since: float | None = None) -> Metrics | None:
    """Train, resume or evaluate a run, and return its last metrics; or color files. Raises `UserError`.

    `since` is as in `run.run`.
    """
    if config.predict:
        model = load_colorizer(find_run(config.folder), config.checkpoint)
        color_file = model.file_writer(config.keep_lightness)
        predict_files(config.predict, config.predictions, color_file, keep_suffix=True)
        return None
    return run.run(config, build_job, since)


def build_job(config: ColorizeConfig, folder: RunFolder, existing: RunFolder | None) -> "ColorizeJob":
    """Build a job from its settings. `existing` is the run to resume or read, or None."""
    build_network(config)  # before the data is loaded, since a wrong setting is an error
    dataset = load_dataset(config, existing)
    if config.activations >= len(dataset.validation):
        last = len(dataset.validation) - 1
        raise UserError(f"--activations {config.activations}: choose a validation image from 0 to {last}")
    palette = choose_palette(config, dataset, existing)
    config = dataclasses.replace(resolve(config, dataset, existing), colors=len(palette))
    prior = choose_prior(config, dataset, palette, existing)
    return ColorizeJob(config, dataset, palette, folder, prior)


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


def choose_prior(
    config: ColorizeConfig, dataset: Dataset, palette: Palette, existing: RunFolder | None
) -> LogPrior | None:
    """Return the prior of the existing run, or that of the training images; None without `--prior`."""
    if existing:
        return load_prior_of(existing, config)
    if config.prior == "none":
        return None
    labels = np.asarray(nearest_color(dataset.train, palette))
    return log_prior(count_colors(dataset.train, labels, len(palette)))


class ColorizeJob:
    """The data of a run on the device, and the compiled steps over it; a `run.Job`."""

    def __init__(
        self,
        config: ColorizeConfig,
        dataset: Dataset,
        palette: Palette,
        folder: RunFolder,
        prior: LogPrior | None = None,
    ):
        self.config = config
        self.facts = dataset.facts
        self.palette = palette
        self.prior = prior
        self.run = folder
        self.images = len(dataset.train)
        self.evaluates_first = False
        self.trainable = EVERYTHING
        self.devices = devices = Devices(config.devices)
        step = make_train_step(config.seed, config.flip, config.shift, config.label_smoothing)
        self._train = Engine(step, devices=devices)
        self._evaluate = Engine(keep_state(evaluate_step), donate=False, devices=devices)
        self._predict = Program(predict)
        images = {"train": dataset.train, "validation": dataset.validation}
        to_arrays = partial(make_arrays, palette=palette, downsize_input=config.downsize_input)
        shapes = {name: jax.eval_shape(to_arrays, of) for name, of in images.items()}
        new_state = self._new_state(shapes["train"]["inputs"])
        self._compile_ahead(*devices.copy((jax.eval_shape(new_state), shapes)))

        self.arrays = {name: devices.copy(to_arrays(of)) for name, of in images.items()}
        self.truth = {
            name: LabeledImages(images[name], np.asarray(arrays["labels"]))
            for name, arrays in self.arrays.items()
        }
        self.initial_state = devices.copy(jit_once(new_state)())
        self._baselines = background().submit(
            score_baselines, self.truth["train"], self.truth["validation"], palette, config.downsize_input
        )
        self._curves_drawn = -np.inf  # when, in seconds of time.monotonic

    def _new_state(self, inputs: jax.ShapeDtypeStruct) -> Callable[[], TrainState]:
        """Return the function that makes the state before the first step."""
        config = self.config
        model = build_network(config)
        steps = (config.epochs or 0) * len(self._batches("train").indices)
        learning_rate = make_schedule(config.schedule, config.learning_rate, steps, config.warm_up)
        optimizer = make_optimizer(config.optimizer, learning_rate, config.weight_decay)
        apply_fn = make_apply(model, self.prior)
        one = inputs.update(shape=(1, *inputs.shape[1:]))
        return lambda: create_state(
            apply_fn, initialize(model, one, config.seed), optimizer, self.trainable, config.ema
        )

    def _compile_ahead(self, state: TrainState, shapes: Mapping[str, Any]) -> None:
        """Start to compile the steps, on other threads, for a state and arrays of these shapes."""
        if not self.config.evaluate:
            self._train.compile_ahead(state, self._batches("train", epoch=1), shapes["train"])
        self._evaluate.compile_ahead(state, self._batches("validation"), shapes["validation"])
        state, inputs = local((state, shapes["validation"]["inputs"]))
        self._predict.compile_ahead(state, inputs.update(shape=(PREDICTION_BATCH, *inputs.shape[1:])))

    def describe(self) -> dict[str, Any]:
        """Return the number of parameters, for config.json."""
        return {"parameters": sum(leaf.size for leaf in jax.tree.leaves(self.initial_state.params))}

    def trainable_in(self, settings: ColorizeConfig) -> Trainable:
        """Return that every run trains everything."""
        return EVERYTHING

    def announce(self, record: dict[str, Any]) -> str:
        """Return network and images in a line."""
        facts = self.facts
        data = f"{facts['name']} {facts['category']}" if "category" in facts else facts["name"]
        return (
            f"{self.config.model}: {record['parameters']:,} parameters, {self.config.colors} colors; "
            f"{data}: {facts['train']:,} train and {facts['validation']:,} validation images"
        )

    def fill(self, folder: Path) -> None:
        """Write the palette, as an array and as an image, and the prior."""
        write_atomically(folder / PALETTE_FILE, lambda file: np.save(file, self.palette))
        if (prior := self.prior) is not None:
            write_atomically(folder / PRIOR_FILE, lambda file: np.save(file, prior))
        image = draw_palette(self.palette)
        write_atomically(folder / "palette.png", lambda file: image.save(file, format="png"))

    def finish(self, state: TrainState, evaluation: Evaluation) -> None:
        """Compare the scores of the last epoch with those of the baselines."""
        self.compare(state, evaluation, self.run.read_metrics()[-1]["epoch"])

    def show(self, state: TrainState, evaluation: Evaluation, epoch: int) -> None:
        """Compare the scores of a checkpoint with those of the baselines, and draw its activations."""
        self.compare(state, evaluation, epoch)
        self._activations(state, epoch)()

    def compare(self, state: TrainState, evaluation: Evaluation, epoch: int) -> None:
        """Print the scores of the validation images beside those of the baselines, and write the files."""
        truth = self.truth["validation"]
        baselines = self._baselines.result()
        predicted = self.predict_labels(state, jax.device_get(self.arrays["validation"]["inputs"]))
        perfect = baselines.pop(PERFECT)
        rows = baselines | {NETWORK: score_images(predicted, truth.labels, truth.images, self.palette)}
        rows[PERFECT] = perfect
        original = colorfulness(truth.images)
        print(describe_scores(rows, original))
        print(summarize(rows))
        if self.config.dataset == "sample":
            print(ABOUT_SAMPLE)
        if self.config.model != BETTER and not self.config.downsize_input:
            print(ABOUT_BETTER)
        if best := describe_best(self.run.read_metrics(), epoch, self.config.best):
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

    def train_epoch(
        self, state: TrainState, epoch: int, on_step: OnStep, midway: Midway = WHOLE_EPOCH
    ) -> tuple[TrainState, Metrics]:
        """Train on all images once. `train_loss` is the mean over the images as they were trained on."""
        batches = self._batches("train", epoch).after(midway.steps)
        state, sums = self._train(state, batches, self.arrays["train"], on_step, midway)
        return state, {"train_loss": float(sums["loss"] / sums["count"])}

    def evaluate(self, state: TrainState) -> Evaluation:
        """Return the mean loss and accuracy over all validation images."""
        _, sums = self._evaluate(state, self._batches("validation"), self.arrays["validation"])
        return Evaluation(
            {
                "val_loss": float(sums["loss"] / sums["count"]),
                "val_accuracy": float(sums["correct"] / sums["count"]),
            }
        )

    def _batches(self, split: str, epoch: int | None = None) -> Batches:
        """Return the batches of an epoch, or without `epoch` those of all images in their order."""
        images, config = self.facts[split], self.config
        order = (
            np.arange(images) if epoch is None else epoch_order(images, config.seed, epoch, config.shuffle)
        )
        return make_batches(order, config.batch_size, self.devices.count)

    def predict_labels(self, state: TrainState, inputs: np.ndarray) -> np.ndarray:
        """Return the palette indices of inputs; there is one program for any number of them."""
        return in_batches(partial(self._predict, state), inputs, PREDICTION_BATCH)

    def draw(
        self, state: TrainState, epoch: int, history: list[dict[str, Any]], evaluation: Evaluation, last: bool
    ) -> list[Draw]:
        """Draw sample grids every few epochs, curves now and then, and activations at the end."""
        drawings: list[Draw] = []
        if last or epoch % self.config.plot_every == 0:
            drawings += self._sample_grids(state, epoch)
        if last or time.monotonic() - self._curves_drawn > SECONDS_BETWEEN_CURVES:
            drawings.append(partial(self._draw_curves, history))
            self._curves_drawn = time.monotonic()
        if last:
            drawings.append(self._activations(state, epoch))
        return drawings

    def _draw_curves(self, history: History) -> None:
        from jaxcolor.training.curves import draw_curves  # importing Matplotlib takes half a second

        names = dict.fromkeys([self.run.path.name, self.config.model])  # often the same
        draw_curves(self.run.path / "curves.png", ": ".join(names), history, PANELS, self.config.best)

    def _sample_grids(self, state: TrainState, epoch: int) -> list[Draw]:
        """Return the drawings of input, truth and prediction of the first images of both splits."""
        examples = {split: self._examples(split, 0, SAMPLES) for split in self.arrays}
        predicted = self.predict_labels(state, np.concatenate([inputs for inputs, _ in examples.values()]))
        drawings: list[Draw] = []
        for split, (inputs, labels) in examples.items():
            of_split, predicted = np.split(predicted, [len(inputs)])
            rows = {
                "input" if self.config.downsize_input else "gray": to_bytes(inputs),
                "truth (palette)": paint(labels, self.palette),
                "prediction": paint(of_split, self.palette),
            }
            if self.config.downsize_input:
                originals = jnp.asarray(self.truth[split].images[:SAMPLES])
                rows["bilinear"] = to_bytes(np.asarray(bilinear_baseline(scale(originals))))
            path = self.run.path / "samples" / f"{split}-epoch-{epoch:03}.png"
            title = f"{self.run.path.name}: {split}, after epoch {epoch}"
            drawings.append(partial(draw_grid, path, title, rows))
        return drawings

    def _activations(self, state: TrainState, epoch: int) -> Draw:
        """Return the drawing of the outputs of the network's modules for one validation image."""
        index = self.config.activations
        inputs, labels = self._examples("validation", index, index + 1)
        outputs = jit_once(partial(layer_outputs, train=False))(state, inputs)
        predicted = np.asarray(outputs.pop("logits")).argmax(axis=-1)
        images = {
            "input": to_bytes(inputs)[0],
            "prediction": paint(predicted, self.palette)[0],
            "truth": paint(labels, self.palette)[0],
        }
        layers = {name: np.asarray(values[0], np.float32) for name, values in outputs.items()}
        path = self.run.path / "activations" / f"image-{index}-epoch-{epoch:03}.png"
        title = f"{self.run.path.name}: activations of validation image {index}, after epoch {epoch}"
        return partial(draw_activations, path, title, images, layers)

    def _examples(self, split: str, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs and labels on the host."""
        inputs = local(self.arrays[split]["inputs"])
        return jax.device_get(inputs[start:stop]), self.truth[split].labels[start:stop]


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
