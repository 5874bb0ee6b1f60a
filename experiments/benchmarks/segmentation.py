"""Segmentation beside the plain torchvision loop: whole runs, their losses, and the frozen forward pass."""

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from reference.segment_program import load_batch
from reference.segmentation import build_segmentation, calibrate
from reference.variants import choose_device

from benchmarks.config import SegmentBenchmark
from benchmarks.machine import synchronize
from benchmarks.processes import EXPERIMENTS, run_python
from benchmarks.rounds import best, speedup, take_turns
from benchmarks.speed import OURS
from jaxcolor.data.shapes import SHAPES, ShapeImages
from jaxcolor.segmentation.config import SegmentConfig
from jaxcolor.segmentation.model import build_model, load_variables
from jaxcolor.segmentation.preprocess import resize_image
from jaxcolor.segmentation.task import features_after
from jaxcolor.training.compilation import jit
from jaxcolor.training.state import create_state

LOSS = re.compile(r"(train_loss|val_loss) ([\d.]+)")


def write_weights(path: Path, config: SegmentBenchmark) -> torch.nn.Module:
    """Write random weights with the BatchNorm statistics of the sample's images, and return the model."""
    torch.manual_seed(0)
    model = build_segmentation("deeplabv3", config.backbone, len(SHAPES), aux=False)
    calibrate(model, load_batch(ShapeImages("train"), np.arange(8), config.image_size, training=True)[0])
    torch.save(model.state_dict(), path)
    return model


def compare_runs(config: SegmentBenchmark, weights: Path, folder: Path) -> dict[str, Any]:
    """Return the seconds of both programs from start to end, their losses, and how much these differ.

    Every run starts with an empty cache. jaxcolor also writes curves, images and checkpoints.
    """
    size = config.image_size
    shared = [
        "--backbone", config.backbone, "--weights", weights, "--epochs", config.epochs,
        "--batch-size", config.batch_size,
    ]  # fmt: skip
    ours = [
        EXPERIMENTS / "segment.py", *shared, "--train", "last", "--dataset", "sample",
        "--image-size", size, size, "--class-weights", "none", "--no-flip",
        "--runs-dir", folder, "--name", "run", "--overwrite",
    ]  # fmt: skip
    theirs = ["-m", "reference.segment_program", *shared, "--image-size", size]
    losses: dict[str, list[float]] = {}

    def run(name: str, arguments: Sequence[object]) -> None:
        with tempfile.TemporaryDirectory() as cache:
            out = run_python(name, arguments, cache)
        losses[name] = [float(loss) for _, loss in LOSS.findall(out)]

    programs = {OURS: lambda: run(OURS, ours), "torchvision": lambda: run("torchvision", theirs)}
    times = take_turns(programs, config.runs, warm_up=0)
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    logged = [json.loads(line) for line in lines]
    exact = [line[name] for line in logged for name in ("train_loss", "val_loss") if name in line]
    differences = [abs(a - b) / b for a, b in zip(exact, losses["torchvision"], strict=True)]
    return {
        "seconds": times,
        "ratio": speedup(times, OURS, "torchvision").ratio,
        "losses": {OURS: exact, "torchvision": losses["torchvision"]},
        "largest_loss_difference": max(differences),
    }


def compare_forward(config: SegmentBenchmark, weights: Path, model: torch.nn.Module) -> dict[str, Any]:
    """Return the seconds of the frozen forward pass on a batch, up to the input of the last layer."""
    examples = ShapeImages("train")
    indices, size = np.arange(config.batch_size), config.image_size
    settings = SegmentConfig(backbone=config.backbone, train="last", weights=weights, output_stride=8)
    network = build_model(settings, len(SHAPES))
    variables = load_variables(network, settings).variables
    state = create_state(network.apply, variables, optax.identity())
    images = jnp.asarray(np.stack([resize_image(examples[i].image, (size, size)) for i in indices.tolist()]))
    features = jit(lambda state, images: features_after("head", state, images)[0])
    device = choose_device()
    inputs = load_batch(examples, indices, size, training=True)[0].to(device)
    model.to(device).eval()

    def torch_features(inputs: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            out = model.get_submodule("backbone")(inputs)["out"]
            for layer in list(model.get_submodule("classifier").children())[:-1]:
                out = layer(out)
        synchronize(device)
        return out

    programs = {
        OURS: lambda: jax.block_until_ready(features(state, images)),
        "torchvision eager": lambda: torch_features(inputs),
        "torchvision channels_last": lambda: torch_features(inputs.to(memory_format=torch.channels_last)),
    }
    expected = torch_features(inputs).cpu().numpy().transpose(0, 2, 3, 1)
    ours = np.asarray(features(state, images))
    times = take_turns(programs, config.rounds)
    theirs = best(times, [name for name in programs if name != OURS])
    return {
        "seconds": times,
        "best": theirs,
        "ratio": speedup(times, OURS, theirs).ratio,
        "largest_difference": float(np.abs(ours - expected).max() / np.abs(expected).max()),
    }
