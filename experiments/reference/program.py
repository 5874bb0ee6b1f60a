"""The plain PyTorch program: `python -m reference.program --model unet --archive …`.

It trains and validates as `experiments/colorize.py` does, on the same images and palette, and prints one line
per epoch. It imports JAX only to fit a palette.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro
from torch import Tensor, nn

from jaxcolor.cli import run_script
from jaxcolor.data.cifar10 import load_cifar10
from jaxcolor.data.classes import Category
from jaxcolor.data.photographs import load_sample
from jaxcolor.errors import UserError, reason
from jaxcolor.training.memory import keep_freed_memory
from reference.colorization import (
    NETWORKS,
    NetworkName,
    compute_loss,
    evaluate_step,
    gray,
    make_optimizer,
    train_step,
)
from reference.variants import choose_device, choose_variants, set_precision

LABELED_AT_ONCE = 100  # images, which limits the memory for their distances to the palette


@dataclass(frozen=True)
class ProgramConfig:
    """Train the assignment's network with PyTorch."""

    model: NetworkName = "unet"
    """Network."""
    filters: int = 32
    """Filters of the first layer."""
    epochs: int = 25
    """Number of passes over the training images."""
    batch_size: int = 100
    """Images per step."""
    learning_rate: float = 1e-3
    """Learning rate of Adam."""
    seed: int = 0
    """Seed of the initial weights and the order of the images."""
    dataset: Literal["cifar10", "sample"] = "cifar10"
    """CIFAR-10, or the built-in sample of photograph patches."""
    category: Category | Literal["all"] = "horse"
    """Category of CIFAR-10's images."""
    archive: Path | None = None
    """A local cifar-10-binary.tar.gz, instead of a download."""
    data_dir: Path | None = None
    """Folder of prepared data. Default: that of tensorflow-datasets, ~/tensorflow_datasets."""
    palette: Path | None = None
    """A .npy file of shape [n, 3] with values in 0–1. Default: k-means with 24 colors."""
    variant: str = "eager"
    """A variant that the benchmark times, such as eager, channels_last or compile."""


def main(config: ProgramConfig) -> None:
    """Train the network, and print the losses and the accuracy of each epoch."""
    torch.manual_seed(config.seed)
    keep_freed_memory()
    device = choose_device()
    (variant,) = choose_variants([config.variant])
    set_precision("float32", device)
    train, validation = load_dataset(config)
    palette = torch.from_numpy(read_palette(config, train))
    order = np.random.default_rng(config.seed).permutation(len(train))
    train_inputs, train_labels = make_tensors(train[order], palette, device)
    val_inputs, val_labels = make_tensors(validation, palette, device)

    model: nn.Module = NETWORKS[config.model](config.filters, len(palette)).to(device)
    model = model.to(memory_format=variant.memory_format)
    optimizer = make_optimizer(model, config.learning_rate)
    loss_fn = variant.compile(compute_loss)
    for epoch in range(1, config.epochs + 1):
        start = time.perf_counter()
        model.train()
        total = torch.zeros((), device=device)
        for inputs, labels in split_batches(train_inputs, train_labels, config.batch_size):
            total += train_step(model, optimizer, inputs, labels, loss_fn=loss_fn) * len(labels)
        model.eval()
        scores = torch.zeros(2, device=device)
        for inputs, labels in split_batches(val_inputs, val_labels, config.batch_size):
            scores += torch.stack(evaluate_step(model, inputs, labels)) * len(labels)
        val_loss, val_accuracy = (scores / len(val_labels)).tolist()
        print(
            f"epoch {epoch:2}/{config.epochs}  train_loss {total.item() / len(train_labels):.4f}  "
            f"val_loss {val_loss:.4f}  val_accuracy {val_accuracy:.4f}  {time.perf_counter() - start:.1f} s",
            flush=True,
        )


def load_dataset(config: ProgramConfig) -> tuple[np.ndarray, np.ndarray]:
    """Return the training and validation images, uint8 [n, height, width, 3]."""
    if config.dataset == "sample":
        return load_sample()
    train, validation, _ = load_cifar10(config.category, config.archive, config.data_dir)
    return train, validation


def read_palette(config: ProgramConfig, train: np.ndarray) -> np.ndarray:
    """Return the palette, float32 [colors, 3]. Raises `UserError` if its file cannot be read."""
    if config.palette is None:
        from jaxcolor.colorization.palette import fit_palette  # imports JAX

        return fit_palette(train, 24, config.seed)
    try:
        return np.load(config.palette).astype(np.float32)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"cannot read the palette {config.palette}: {reason(error)}") from error


def make_tensors(images: np.ndarray, palette: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the inputs, float32 [n, 1, height, width], and the labels, int64 [n, height, width]."""
    colored = torch.from_numpy(images)
    labels = [nearest_color(part, palette) for part in colored.split(LABELED_AT_ONCE)]
    return gray(colored).to(device), torch.cat(labels).to(device)


def nearest_color(images: Tensor, palette: Tensor) -> Tensor:
    """Return the palette index of the color nearest to each pixel."""
    difference = images.float().unsqueeze(-2) / 256 - palette
    return difference.square().sum(dim=-1).argmin(dim=-1)


def split_batches(inputs: Tensor, labels: Tensor, batch_size: int) -> zip:
    """Return the batches in the order of the images. The last one may be smaller."""
    return zip(inputs.split(batch_size), labels.split(batch_size), strict=True)


if __name__ == "__main__":
    run_script(lambda: main(tyro.cli(ProgramConfig, config=(tyro.conf.FlagCreatePairsOff,))))
