"""What a colorization run does with its arrays: epochs, validation, images, scores."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from jaxcolor.colorization.baselines import describe_scores, score_baselines, ways
from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.colorization.data import Split, make_arrays
from jaxcolor.colorization.drawing import draw_activations, draw_grid
from jaxcolor.colorization.palette import Palette, draw_palette, paint, to_bytes
from jaxcolor.colorization.prediction import Predictor
from jaxcolor.colorization.preprocess import bilinear_baseline, scale
from jaxcolor.colorization.scores import colorfulness, score_images
from jaxcolor.colorization.task import evaluate_step, layer_outputs, train_step
from jaxcolor.files import write_atomically, write_json
from jaxcolor.layers import argmax
from jaxcolor.models.unet import build_model
from jaxcolor.training.batches import epoch_order, make_batches
from jaxcolor.training.curves import draw_curves
from jaxcolor.training.engine import EpochRunner, keeping_state
from jaxcolor.training.fit import Metrics, OnStep
from jaxcolor.training.run_folder import RunFolder
from jaxcolor.training.state import TrainState, initialize

PALETTE = "palette.npy"
SAMPLES = 10  # images in a grid
SECONDS_BETWEEN_CURVES = 30  # they take a fifth of a second to draw
PANELS = {
    "loss (cross-entropy a pixel)": {"train_loss": "train", "val_loss": "validation"},
    "accuracy (share of pixels)": {"val_accuracy": "validation"},
}


class ColorizeJob:
    """The data of a run on the device, and the compiled steps over it; a `run.RunJob`."""

    def __init__(self, config: ColorizeConfig, images: Dataset, palette: Palette, run: RunFolder):
        self.config = config
        self.facts = images.facts
        self.palette = palette
        self.run = run
        self.arrays = {
            "train": make_arrays(images.train, palette, config.downsize_input),
            "validation": make_arrays(images.validation, palette, config.downsize_input),
        }
        self.truth = {
            name: Split(getattr(images, name), np.asarray(arrays["labels"]))
            for name, arrays in self.arrays.items()
        }
        self.images = len(images.train)
        self.evaluates_first = False
        self._train = EpochRunner(train_step)
        self._evaluate = EpochRunner(keeping_state(evaluate_step), donate=False)
        self._predict = Predictor()
        self._curves_drawn = float("-inf")

    def initial_state(self) -> TrainState:
        """Fresh weights from the seed, and Adam's state."""
        example = self.arrays["train"]["inputs"][:1]
        optimizer = optax.adam(self.config.learning_rate)
        return initialize(build_model(self.config), example, optimizer, self.config.seed)

    def is_kept(self, path: tuple[str, ...]) -> bool:
        """Checkpoints hold everything."""
        return True

    def describe(self, state: TrainState) -> dict[str, Any]:
        """The number of parameters, for config.json."""
        return {"parameters": sum(leaf.size for leaf in jax.tree.leaves(state.params))}

    def announce(self, record: dict[str, Any]) -> str:
        """Network and images in a line."""
        facts = self.facts
        what = f"{facts['name']} {facts['category']}" if "category" in facts else facts["name"]
        return (
            f"{self.config.model}: {record['parameters']:,} parameters, {self.config.colors} colors; "
            f"{what}: {facts['train']:,} train and {facts['validation']:,} validation images"
        )

    def fill(self, folder: Path) -> None:
        """Write the palette, as numbers and as a image."""
        write_atomically(folder / PALETTE, lambda file: np.save(file, self.palette))
        image = draw_palette(self.palette)
        write_atomically(folder / "palette.png", lambda file: image.save(file, format="png"))

    def finish(self, state: TrainState, metrics: Metrics) -> None:
        """Print the last epoch's scores beside those of the baselines, and write them."""
        write_json(self.run.path / "scores.json", self.compare(state, metrics))

    def show(self, state: TrainState, metrics: Metrics, epoch: int | None) -> None:
        """Print the scores of a checkpoint, and draw what its layers do."""
        self.compare(state, metrics)
        self.draw_activations(state, epoch)

    def compare(self, state: TrainState, metrics: Metrics) -> dict[str, Any]:
        """Print the validation images' scores beside those of the baselines, and return them."""
        truth = self.truth["validation"]
        baselines = score_baselines(self.truth["train"], truth, self.palette, self.config.downsize_input)
        predicted = self._predict(state, self.arrays["validation"]["inputs"])
        scores = score_images(predicted, truth.labels, truth.images, self.palette)
        *guesses, perfect = baselines
        rows = {name: baselines[name] for name in guesses} | {"this network": scores}
        rows |= {perfect: baselines[perfect]}
        shares, original = ways(scores, baselines), colorfulness(truth.images)
        print(describe_scores(rows, shares, original), flush=True)
        numbers = f"val_loss={metrics['val_loss']:.4f} val_accuracy={metrics['val_accuracy']:.4f}"
        print(f"final: {numbers} {self.run.path}")
        return {
            "scores": {name: row._asdict() for name, row in rows.items()},
            "of_the_way": shares,
            "colorfulness_of_originals": original,
        }

    def train_epoch(self, state: TrainState, epoch: int, on_step: OnStep) -> tuple[TrainState, Metrics]:
        """Train on all images once; `train_loss` is the mean of the steps' losses."""

        def on_progress(steps: int, sums: dict[str, float]) -> None:
            on_step(round(sums["count"]), sums["loss"] / sums["count"])

        order = epoch_order(self.images, self.config.seed, epoch, self.config.shuffle)
        batches = make_batches(order, self.config.batch_size)
        state, sums = self._train(state, self.arrays["train"], batches, on_progress)
        return state, {"train_loss": sums["loss"] / sums["count"]}

    def evaluate(self, state: TrainState) -> Metrics:
        """`val_loss` and `val_accuracy`, exact means over all validation images."""
        data = self.arrays["validation"]
        batches = make_batches(np.arange(len(data["labels"])), self.config.batch_size)
        _, sums = self._evaluate(state, data, batches)
        return {
            "val_loss": sums["loss"] / sums["count"],
            "val_accuracy": sums["right"] / sums["count"],
        }

    def draw(self, state: TrainState, epoch: int, history: list[dict[str, Any]], last: bool) -> None:
        """Sample grids each `plot_every` epochs; curves now and then; activations at the end."""
        if last or epoch % self.config.plot_every == 0:
            for split in self.arrays:
                self.draw_samples(state, split, epoch)
        if last or time.monotonic() - self._curves_drawn > SECONDS_BETWEEN_CURVES:
            draw_curves(self.run.path / "curves.png", history, PANELS)
            self._curves_drawn = time.monotonic()
        if last:
            self.draw_activations(state, epoch)

    def draw_samples(self, state: TrainState, split: str, epoch: int) -> None:
        """A grid of what goes in, the truth and what comes out, for the first images of a split."""
        inputs, labels = self._examples(split, 0, SAMPLES)
        rows = {
            "input" if self.config.downsize_input else "gray": to_bytes(np.asarray(inputs)),
            "truth (palette)": paint(np.asarray(labels), self.palette),
            "prediction": paint(self._predict(state, inputs), self.palette),
        }
        if self.config.downsize_input:
            originals = jnp.asarray(self.truth[split].images[:SAMPLES])
            rows["bilinear"] = to_bytes(np.asarray(bilinear_baseline(scale(originals))))
        path = self.run.path / "samples" / f"{split}-epoch-{epoch:03}.png"
        draw_grid(path, f"{self.run.path.name}: {split}, after epoch {epoch}", rows)

    def draw_activations(self, state: TrainState, epoch: int | None) -> None:
        """What layers 1 to 5 make of one validation image."""
        index = self.config.activations
        inputs, labels = self._examples("validation", index, index + 1)
        outputs = jax.jit(partial(layer_outputs, train=False))(state, inputs)
        predicted = np.asarray(argmax(outputs.pop("layer6")))
        images = {
            "input": to_bytes(np.asarray(inputs))[0],
            "prediction": paint(predicted, self.palette)[0],
            "truth": paint(np.asarray(labels), self.palette)[0],
        }
        layers = {
            name.replace("layer", "layer "): np.asarray(values[0], np.float32)
            for name, values in sorted(outputs.items())
        }
        path = self.run.path / "activations" / f"image-{index}-epoch-{epoch:03}.png"
        title = f"{self.run.path.name}: activations of validation image {index}, after epoch {epoch}"
        draw_activations(path, title, images, layers)

    def _examples(self, split: str, start: int, stop: int) -> tuple[Array, Array]:
        arrays = self.arrays[split]
        return arrays["inputs"][start:stop], arrays["labels"][start:stop]
