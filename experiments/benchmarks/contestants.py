"""The timed programs: jaxcolor as its runs use it, and every variant of the PyTorch program.

A round of each has the same number of batches. It ends when its results are on the host: the losses of
training, the scores of evaluation, the colored images of prediction.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from jaxtyping import UInt8
from reference import colorization as reference
from reference.variants import Precision, Variant, choose_device, set_precision

from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.colorization.data import make_arrays
from jaxcolor.colorization.palette import Palette, to_bytes
from jaxcolor.colorization.predictor import build_network, in_batches
from jaxcolor.colorization.task import evaluate_step, predict_images, train_step
from jaxcolor.models import apply_function
from jaxcolor.training.batches import Batches, make_batches
from jaxcolor.training.compilation import jit, set_matmul_precision
from jaxcolor.training.engine import Engine, keep_state
from jaxcolor.training.state import TrainState, create_state, initialize

IMAGES_PER_ROUND = {"cpu": 500, "gpu": 25_000}  # of 32×32 pixels


@dataclass(frozen=True)
class Setting:
    """Network, arithmetic and images of a measurement."""

    model: str
    batch_size: int
    filters: int
    precision: Precision
    images: UInt8[np.ndarray, "n height width 3"]
    palette: Palette

    @property
    def steps(self) -> int:
        """Batches per round. A round has the same number of pixels for all sizes of images."""
        platform = "cpu" if jax.default_backend() == "cpu" else "gpu"
        pixels = self.images.shape[1] * self.images.shape[2]
        return max(1, round(IMAGES_PER_ROUND[platform] * 32 * 32 / pixels / self.batch_size))

    @cached_property
    def round_images(self) -> UInt8[np.ndarray, "n height width 3"]:
        """The images of a round, in whole batches. A round of more batches repeats them."""
        whole = max(len(self.images) // self.batch_size, 1)
        count = min(whole, self.steps) * self.batch_size
        return self.images[np.arange(count) % len(self.images)]

    @property
    def config(self) -> ColorizeConfig:
        """The setting as the configuration of a jaxcolor run."""
        return ColorizeConfig(
            model=self.model,
            filters=self.filters,
            colors=len(self.palette),
            batch_size=self.batch_size,
            precision=self.precision,
        )


@runtime_checkable
class Contestant(Protocol):
    """A program with its data on the device. A call processes `steps` batches, or a round of them."""

    def train(self, steps: int | None = None) -> None: ...
    def evaluate(self, steps: int | None = None) -> None: ...
    def predict(self, steps: int | None = None) -> None: ...


class JaxContestant:
    """jaxcolor, with the engine and the steps of its runs."""

    def __init__(self, setting: Setting):
        set_matmul_precision(setting.precision)
        self.setting = setting
        self.images = setting.round_images
        self.data = make_arrays(self.images, setting.palette, downsize_input=False)
        self.palette = jnp.asarray(setting.palette)
        self.state = make_state(setting)
        self._train = Engine(train_step)
        self._evaluate = Engine(keep_state(evaluate_step), donate=False)
        self._predict = jit(predict_images)

    def train(self, steps: int | None = None) -> None:
        self.state, _ = self._train(self.state, self._batches(steps), self.data)

    def evaluate(self, steps: int | None = None) -> None:
        self._evaluate(self.state, self._batches(steps), self.data)

    def predict(self, steps: int | None = None) -> None:
        in_batches(
            lambda images: self._predict(self.state, images, self.palette),
            self.images[self._batches(steps).indices.ravel()],
            self.setting.batch_size,
        )

    def _batches(self, steps: int | None) -> Batches:
        count = (steps or self.setting.steps) * self.setting.batch_size
        return make_batches(np.arange(count) % len(self.images), self.setting.batch_size)


def make_state(setting: Setting) -> TrainState:
    """Return the state of jaxcolor's network before the first step."""
    model = build_network(setting.config)
    variables = initialize(model, jnp.zeros((1, 32, 32, 1)), seed=0)
    return create_state(apply_function(model), variables, optax.adam(setting.config.learning_rate))


class TorchContestant:
    """A variant of the PyTorch program, on batches that are slices of its data."""

    def __init__(self, setting: Setting, variant: Variant):
        torch.manual_seed(0)
        self.device = choose_device()
        set_precision(setting.precision, self.device)
        self.setting = setting
        self.bfloat16 = setting.precision == "bfloat16"
        model = reference.NETWORKS[setting.model](setting.filters, len(setting.palette))
        self.model = model.to(self.device).to(memory_format=variant.memory_format)
        self.optimizer = reference.make_optimizer(self.model, setting.config.learning_rate)

        arrays = make_arrays(setting.round_images, setting.palette, downsize_input=False)
        inputs = torch.from_numpy(np.array(arrays["inputs"]).transpose(0, 3, 1, 2))
        inputs = inputs.to(self.device).contiguous(memory_format=variant.memory_format)
        labels = torch.from_numpy(np.array(arrays["labels"])).to(self.device, torch.int64)
        size = setting.batch_size
        self.batches = list(zip(inputs.split(size), labels.split(size), strict=True))
        # With pinned memory, a GPU transfers several batches beside its computation.
        is_gpu = self.device.type == "cuda"
        self.images = torch.empty(setting.round_images.shape, dtype=torch.uint8, pin_memory=is_gpu)
        self.images.copy_(torch.from_numpy(setting.round_images))
        self.colored = torch.empty_like(self.images, pin_memory=is_gpu)
        self.palette = torch.from_numpy(to_bytes(setting.palette)).to(self.device)

        self._loss = variant.compile(reference.compute_loss)
        self._scores = variant.compile(reference.compute_scores)
        self._predict = variant.compile(reference.predict_images)

    def train(self, steps: int | None = None) -> None:
        self.model.train()
        total = torch.zeros((), device=self.device)
        for step in range(steps or self.setting.steps):
            inputs, labels = self.batches[step % len(self.batches)]
            total += reference.train_step(
                self.model, self.optimizer, inputs, labels, loss_fn=self._loss, bfloat16=self.bfloat16
            )
        total.item()

    @torch.inference_mode()
    def evaluate(self, steps: int | None = None) -> None:
        self.model.eval()
        total = torch.zeros(2, device=self.device)
        with self._autocast():
            for step in range(steps or self.setting.steps):
                total += torch.stack(self._scores(self.model, *self.batches[step % len(self.batches)]))
        total.tolist()

    @torch.inference_mode()
    def predict(self, steps: int | None = None) -> None:
        self.model.eval()
        with self._autocast():
            for step in range(steps or self.setting.steps):
                start = step % len(self.batches) * self.setting.batch_size
                rows = slice(start, start + self.setting.batch_size)
                images = self.images[rows].to(self.device, non_blocking=True)
                colored = self._predict(self.model, images, self.palette)
                self.colored[rows].copy_(colored, non_blocking=True)
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)
