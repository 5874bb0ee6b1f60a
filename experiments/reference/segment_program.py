"""The plain torchvision loop: `python -m reference.segment_program --weights FILE`.

It trains the last layer of a DeepLabV3 as `experiments/segment.py --train last` does, on the same images in
the same order. All other layers are frozen and in evaluation mode. It prints one line per epoch.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
import tyro
from torch import Tensor, nn

from jaxcolor.cli import run_script
from jaxcolor.data.examples import Examples
from jaxcolor.data.label_maps import VOID
from jaxcolor.data.shapes import SHAPES, ShapeImages
from jaxcolor.pretrained.imagenet import MEAN, STANDARD_DEVIATION
from jaxcolor.segmentation.preprocess import resize_image, resize_label_map
from jaxcolor.training.batches import epoch_order
from jaxcolor.training.memory import keep_freed_memory
from reference.segmentation import build_segmentation
from reference.variants import choose_device, set_precision

POLY_POWER = 0.9


@dataclass(frozen=True)
class SegmentProgramConfig:
    """Train the last layer of torchvision's DeepLabV3 on the built-in sample with PyTorch."""

    weights: Path
    """A .pth file with weights of the whole network for the classes of the sample."""
    backbone: Literal["resnet50", "resnet101", "mobilenet-v3-large"] = "resnet101"
    """Backbone network."""
    epochs: int = 10
    """Number of passes over the training images."""
    batch_size: int = 16
    """Images per step."""
    learning_rate: float = 1e-3
    """Learning rate of Adam at the start; it decreases to 0 as (1 − step / steps) to the power of 0.9."""
    image_size: int = 224
    """Height and width of the images, in pixels."""
    train_images: int = 200
    """Number of training images; they are the first images of the sample."""
    seed: int = 0
    """Seed of the order of the images."""


def main(config: SegmentProgramConfig) -> None:
    """Train the last layer. Print the losses and the pixel accuracy before the first and after each epoch."""
    keep_freed_memory()
    device = choose_device()
    set_precision("float32", device)
    model = build_segmentation("deeplabv3", config.backbone, len(SHAPES), aux=False)
    model.load_state_dict(torch.load(config.weights, weights_only=True), strict=True)
    model.to(device).eval().requires_grad_(False)
    last: nn.Module = model.get_submodule("classifier.4")
    last.requires_grad_(True)
    train, validation = ShapeImages("train"), ShapeImages("validation")
    steps = config.epochs * -(-config.train_images // config.batch_size)
    optimizer = torch.optim.Adam(last.parameters(), config.learning_rate)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, steps, POLY_POWER)

    for epoch in range(config.epochs + 1):
        start = time.perf_counter()
        total = pixels = 0.0
        order = epoch_order(config.train_images, config.seed, epoch, "epoch") if epoch else np.arange(0)
        for indices in split_indices(order, config.batch_size):
            inputs, labels = load_batch(train, indices, config.image_size, training=True)
            loss = F.cross_entropy(model(inputs.to(device))["out"], labels.to(device), ignore_index=VOID)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            counted = int((labels != VOID).sum())
            total, pixels = total + loss.item() * counted, pixels + counted
        val_loss, accuracy = evaluate(model, validation, config, device)
        print(
            f"epoch {epoch:2}/{config.epochs}"
            + (f"  train_loss {total / pixels:.5f}" if epoch else "")
            + f"  val_loss {val_loss:.5f}  pixel_accuracy {accuracy:.4f}"
            + f"  {time.perf_counter() - start:.1f} s",
            flush=True,
        )


@torch.inference_mode()
def evaluate(
    model: nn.Module, examples: Examples, config: SegmentProgramConfig, device: torch.device
) -> tuple[float, float]:
    """Return cross-entropy and accuracy over all pixels that are not void, at the size of the label maps."""
    total = correct = pixels = 0.0
    for indices in split_indices(np.arange(len(examples)), config.batch_size):
        inputs, labels = load_batch(examples, indices, config.image_size, training=False)
        inputs, labels = inputs.to(device), labels.to(device)
        small = model.get_submodule("classifier")(model.get_submodule("backbone")(inputs)["out"])
        logits = F.interpolate(small, size=labels.shape[1:], mode="bilinear", align_corners=False)
        counted = labels != VOID
        total += F.cross_entropy(logits, labels, ignore_index=VOID, reduction="sum").item()
        correct += ((logits.argmax(1) == labels) & counted).sum().item()
        pixels += counted.sum().item()
    return total / pixels, correct / pixels


def load_batch(examples: Examples, indices: np.ndarray, size: int, training: bool) -> tuple[Tensor, Tensor]:
    """Return normalized images [batch, 3, size, size], and labels.

    For training the labels have the size of the images, otherwise that of the label maps.
    """
    images, labels = load_arrays(examples, indices, size, training)
    inputs = torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32)) / 255
    return normalize(inputs), torch.from_numpy(labels.astype(np.int64))


def load_arrays(
    examples: Examples, indices: np.ndarray, size: int, training: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 images [batch, size, size, 3], and labels as in `load_batch`."""
    images, labels = [], []
    for index in indices.tolist():
        _, image, label_map = examples[index]
        images.append(resize_image(image, (size, size)))
        labels.append(resize_label_map(label_map, (size, size)) if training else label_map)
    return np.stack(images), np.stack(labels)


def normalize(images: Tensor) -> Tensor:
    """Return images [batch, 3, height, width] with values from 0 to 1 as the backbones expect them."""
    mean, deviation = (
        torch.tensor(numbers, device=images.device)[:, None, None] for numbers in (MEAN, STANDARD_DEVIATION)
    )
    return (images - mean) / deviation


def split_indices(order: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Split the indices of images into batches. The last one may be smaller."""
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


if __name__ == "__main__":
    run_script(lambda: main(tyro.cli(SegmentProgramConfig)))
