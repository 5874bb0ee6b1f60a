"""Segmentation beside torchvision: the forward pass, training steps, prediction, and whole runs.

Each comparison returns the seconds of both programs, their ratio, and a line on how their results agree.
"""

import copy
import json
import re
import tempfile
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
import torch.nn.functional as F
from PIL import Image
from reference.segment_program import load_arrays, load_batch, normalize
from reference.segmentation import build_segmentation, calibrate
from reference.variants import choose_device
from torch import Tensor, nn

from benchmarks.config import SegmentBenchmark
from benchmarks.machine import synchronize
from benchmarks.processes import EXPERIMENTS, run_python
from benchmarks.rounds import Times, best, speedup, take_turns
from benchmarks.speed import OURS
from jaxcolor.data.label_maps import VOID
from jaxcolor.data.shapes import SHAPES, ShapeImages
from jaxcolor.models.segmentation import Part, SegmentationNet
from jaxcolor.segmentation.config import SegmentConfig
from jaxcolor.segmentation.losses import make_loss
from jaxcolor.segmentation.model import build_model, load_variables
from jaxcolor.segmentation.predictor import Segmenter
from jaxcolor.segmentation.task import TRAINABLE, features_after, make_train_step
from jaxcolor.training.compilation import jit
from jaxcolor.training.engine import Engine
from jaxcolor.training.state import TrainState, create_state

Result: TypeAlias = dict[str, Any]

LOSS = re.compile(r"(train_loss|val_loss) ([\d.]+)")
LEARNING_RATE = 1e-3
FULL_HD = (1920, 1080)  # width and height of the photographs
SHORTER_SIDE = 520  # to which both programs reduce them, in pixels


def write_weights(path: Path, config: SegmentBenchmark) -> nn.Module:
    """Write random weights with the BatchNorm statistics of the sample's images, and return the model."""
    torch.manual_seed(0)
    model = build_segmentation("deeplabv3", config.backbone, len(SHAPES), aux=False)
    calibrate(model, load_batch(ShapeImages("train"), np.arange(8), config.image_size, training=True)[0])
    torch.save(model.state_dict(), path)
    return model


def compare_forward(config: SegmentBenchmark, weights: Path, model: nn.Module) -> Result:
    """Compare the frozen forward pass on a batch, up to the input of the last layer."""
    _, state = load_state(config, weights, "last")
    images, _ = sample_images(config, config.batch_size)
    features = jit(lambda state, images: features_after("head", state, images)[0])

    def torch_program(model: nn.Module, inputs: Tensor) -> Tensor:
        with torch.inference_mode():
            out = model.get_submodule("backbone")(inputs)["out"]
            for layer in list(model.get_submodule("classifier").children())[:-1]:
                out = layer(out)
        synchronize(inputs.device)
        return out

    theirs = torch_programs(config, model.eval(), torch_program)
    expected = theirs["torchvision eager"]().cpu().numpy().transpose(0, 2, 3, 1)
    difference = np.abs(np.asarray(features(state, images)) - expected).max() / np.abs(expected).max()
    times = take_turns({OURS: lambda: jax.block_until_ready(features(state, images))} | theirs, config.rounds)
    agreement = f"features differ by at most {difference:.1e} of the largest feature"
    return summary(times, list(theirs), agreement) | {"largest_difference": float(difference)}


def compare_training(config: SegmentBenchmark, weights: Path, model: nn.Module) -> Result:
    """Compare steps of Adam that train everything, with BatchNorm and dropout in training mode."""
    _, state = load_state(config, weights, "all")
    images, labels = sample_images(config, config.batch_size)
    loss = make_loss(["cross-entropy"], jnp.ones(len(SHAPES)))
    engine = Engine(make_train_step("all", "images", 0, loss))
    batch = {"inputs": images, "labels": labels, "valid": np.ones(len(images), np.float32)}
    losses: list[float] = []

    def step() -> None:
        nonlocal state
        state, sums = engine(state, [batch])
        losses.append(float(sums["loss"] / sums["count"]))

    def torch_program(model: nn.Module, inputs: Tensor) -> Tensor:
        optimizer = optimizer_of(model)
        truth = torch.from_numpy(labels).long().to(inputs.device)
        found = F.cross_entropy(model(inputs)["out"], truth, ignore_index=VOID)
        optimizer.zero_grad()
        found.backward()
        optimizer.step()
        return found.detach().cpu()

    @cache
    def optimizer_of(model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(model.parameters(), LEARNING_RATE)

    theirs = torch_programs(config, model.train(), torch_program)
    first = float(theirs["torchvision eager"]())
    step()
    difference = abs(losses[0] - first) / first
    times = take_turns({OURS: step} | theirs, config.rounds)
    agreement = f"the first losses, each with its own dropout, are {losses[0]:.4f} and {first:.4f}"
    return summary(times, list(theirs), agreement) | {"loss_difference": difference}


def compare_prediction(config: SegmentBenchmark, weights: Path, model: nn.Module) -> Result:
    """Compare the way from files of large photographs, one by one, to a class for each of their pixels."""
    network, state = load_state(config, weights, "last")
    segmenter = Segmenter(network, state.variables, SHAPES, (SHORTER_SIDE,))

    def torch_program(model: nn.Module, inputs: Tensor) -> list[np.ndarray]:
        found = []
        for path in files:
            pixels = np.array(Image.open(path).convert("RGB"))
            image = torch.from_numpy(pixels).to(inputs.device).permute(2, 0, 1)[None].float() / 255
            size = (SHORTER_SIDE, round(pixels.shape[1] * SHORTER_SIDE / pixels.shape[0]))
            with torch.inference_mode():
                small = F.interpolate(image, size=size, mode="bilinear", antialias=True)
                out = model.get_submodule("classifier")(
                    model.get_submodule("backbone")(normalize(small))["out"]
                )
                logits = F.interpolate(out, size=pixels.shape[:2], mode="bilinear")
                found.append(logits.argmax(1)[0].to(torch.uint8).cpu().numpy())
        return found

    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, f"{number}.jpg") for number in range(config.photographs)]
        for path, image in zip(files, sample_images(config, config.photographs)[0], strict=True):
            Image.fromarray(image).resize(FULL_HD, Image.Resampling.BICUBIC).save(path, quality=90)
        theirs = torch_programs(config, model.eval(), torch_program)
        ours = [segmenter.predict(path) for path in files]
        equal = np.mean([a == b for a, b in zip(ours, theirs["torchvision eager"](), strict=True)])
        programs = {OURS: lambda: [segmenter.predict(path) for path in files]} | theirs
        times = take_turns(programs, config.rounds)
    each = {name: [seconds / config.photographs for seconds in values] for name, values in times.items()}
    agreement = f"{100 * equal:.2f} % of the pixels have the same class"
    return summary(each, list(theirs), agreement) | {"equal": float(equal)}


def compare_runs(config: SegmentBenchmark, weights: Path, model: nn.Module) -> Result:
    """Compare both programs from start to end, as they train the last layer on the built-in sample.

    Every run starts with an empty cache. jaxcolor also writes curves, images and checkpoints.
    """
    size = config.image_size
    shared = [
        "--backbone", config.backbone, "--weights", weights, "--epochs", config.epochs,
        "--batch-size", config.batch_size,
    ]  # fmt: skip
    folder = weights.parent
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
    agreement = f"relative differences of the losses are at most {max(differences):.1e}"
    return summary(times, ["torchvision"], agreement) | {
        "losses": {OURS: exact, "torchvision": losses["torchvision"]},
        "largest_loss_difference": max(differences),
    }


def load_state(config: SegmentBenchmark, weights: Path, train: Part) -> tuple[SegmentationNet, TrainState]:
    """Return the network and its weights, ready to train a part of it with Adam."""
    settings = SegmentConfig(backbone=config.backbone, head="deeplabv3", train=train, weights=weights)
    network = build_model(settings, len(SHAPES))
    variables = load_variables(network, settings).variables
    state = create_state(network.apply, variables, optax.adam(LEARNING_RATE), TRAINABLE[train])
    return network, state


def sample_images(config: SegmentBenchmark, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return so many images of the sample, uint8 [number, size, size, 3], and their labels."""
    return load_arrays(ShapeImages("train"), np.arange(number), config.image_size, training=True)


def torch_programs(
    config: SegmentBenchmark, model: nn.Module, program: Callable[[nn.Module, Tensor], Any]
) -> dict[str, Callable[[], Any]]:
    """Return the variants of a program of torchvision, each with a network and inputs of its own."""
    device = choose_device()
    chosen = np.arange(config.batch_size)
    inputs, _ = load_batch(ShapeImages("train"), chosen, config.image_size, training=True)
    programs: dict[str, Callable[[], Any]] = {}
    for name, order in (("eager", torch.contiguous_format), ("channels_last", torch.channels_last)):
        own = copy.deepcopy(model).to(device).to(memory_format=order)
        images = inputs.to(device).to(memory_format=order)
        programs[f"torchvision {name}"] = partial(program, own, images)
    return programs


def summary(times: Times, theirs: Sequence[str], agreement: str) -> Result:
    """Return what all comparisons have."""
    fastest = best(times, theirs)
    ratio = speedup(times, OURS, fastest).ratio
    return {"seconds": times, "best": fastest, "ratio": ratio, "agreement": agreement}


COMPARISONS: dict[str, Callable[[SegmentBenchmark, Path, nn.Module], Result]] = {
    "forward": compare_forward,
    "training": compare_training,
    "prediction": compare_prediction,
    "runs": compare_runs,
}
