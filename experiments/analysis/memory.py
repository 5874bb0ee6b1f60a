"""The memory of training a part of a network or all of it, as XLA counts it in the compiled train step.

Nothing is allocated or computed. States and batches are shapes, so no device needs the memory.
"""

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.extend.core import Literal

from analysis.config import AnalyzeConfig
from analysis.report import Results, size
from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.colorization.predictor import build_network
from jaxcolor.colorization.task import batch_loss as colorization_loss
from jaxcolor.colorization.task import train_step as colorization_step
from jaxcolor.data.classes import VOC_CLASSES
from jaxcolor.errors import UserError, reason
from jaxcolor.files import write_json
from jaxcolor.models.backbones import BACKBONES
from jaxcolor.models.segmentation import DeepLabV3, Part, Stage
from jaxcolor.segmentation.config import SegmentConfig
from jaxcolor.segmentation.losses import make_loss
from jaxcolor.segmentation.task import TRAINABLE, features_after
from jaxcolor.segmentation.task import batch_loss as segmentation_loss
from jaxcolor.segmentation.task import train_step as segmentation_step
from jaxcolor.training.compilation import compiler_options
from jaxcolor.training.freezing import EVERYTHING, Trainable
from jaxcolor.training.state import TrainState, create_state

UNET = "unet"
NETWORKS = {"resnet50": "DeepLabV3, ResNet-50", "resnet101": "DeepLabV3, ResNet-101", UNET: "UNet"}
# The trainable part, and the input of the step: images, or cached features after a frozen part.
KINDS: dict[str, tuple[Part, Stage]] = {
    "last layer": ("last", "images"),
    "head": ("head", "images"),
    "everything": ("all", "images"),
    "last layer, cached": ("last", "head"),
    "head, cached": ("head", "backbone"),
}
# The optimization level of LLVM changes no array of the program, but most of the compile time.
QUICKLY: dict[str, Any] = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


class Case(NamedTuple):
    """A network, its trainable part and input, and the side of the images in pixels."""

    network: str
    kind: str
    side: int


class Step(NamedTuple):
    """A train step, the shapes of its arguments, and its loss as a function of the trainable parameters."""

    step: Callable[..., Any]
    state: TrainState
    batch: dict[str, Any]
    trained: Any  # the parameters with gradients
    loss: Callable[..., Any]  # of these parameters, state and batch
    features: int  # cached bytes per image


def cases(config: AnalyzeConfig) -> list[Case]:
    """Return all cases. A UNet is trained only as a whole."""
    return [
        Case(network, kind, side)
        for network in dict.fromkeys(config.memory_networks)
        for kind in (["everything"] if network == UNET else KINDS)
        for side in sorted(set(config.memory_sizes))
    ]


def measure(config: AnalyzeConfig, folder: Path) -> Results:
    """Return the bytes of all cases. Each is a file in the folder; an existing one is not compiled again."""
    rows = []
    for case in cases(config):
        path = folder / f"{case.network}, {case.kind}, {case.side}, {config.memory_batch_size}.json"
        if not path.exists():
            start = time.perf_counter()
            row = case._asdict() | measure_step(build_step(case, config.memory_batch_size))
            write_json(path, row | {"seconds": time.perf_counter() - start})
            what = f"{NETWORKS[case.network]}, {case.kind}, {case.side}×{case.side}"
            print(f"{what}: {size(row['temporary'])} of temporary memory", flush=True)
        try:
            rows.append(json.loads(path.read_text()))
        except ValueError as error:
            raise UserError(f"{path} is damaged ({reason(error)}): delete it, and --resume") from error
    return {
        "batch_size": config.memory_batch_size,
        "device": jax.devices()[0].platform.upper() + "s",
        "rows": rows,
        "seconds": sum(row["seconds"] for row in rows),
    }


def build_step(case: Case, batch_size: int) -> Step:
    """Return jaxcolor's train step for a case."""
    if case.network == UNET:
        return _colorization(case.side, batch_size)
    return _segmentation(case.network, *KINDS[case.kind], case.side, batch_size)


def _colorization(side: int, batch_size: int) -> Step:
    model = build_network(ColorizeConfig(model="unet"))
    variables = jax.eval_shape(model.init, jax.random.key(0), _floats(1, 32, 32, 1))
    state = _state(model.apply, variables, optax.adam(ColorizeConfig.learning_rate))
    labels = jax.ShapeDtypeStruct((batch_size, side, side), jnp.uint8)
    batch = {"inputs": _floats(batch_size, side, side, 1), "labels": labels, "valid": None}
    return Step(colorization_step, state, batch, state.params, colorization_loss, 0)


def _segmentation(backbone: Any, train: Part, after: Stage, side: int, batch_size: int) -> Step:
    model = DeepLabV3(backbone, len(VOC_CLASSES), BACKBONES[backbone].output_stride)
    variables = jax.eval_shape(model.init, jax.random.key(0), _floats(1, 64, 64, 3))
    optimizer = optax.adam(SegmentConfig.learning_rate)
    state = _state(model.apply, variables, optimizer, TRAINABLE[train])
    inputs: Any = jax.ShapeDtypeStruct((batch_size, side, side, 3), jnp.uint8)
    features = 0
    if after != "images":
        inputs = jax.eval_shape(partial(features_after, after), state, inputs)
        features = bytes_of(inputs) // batch_size
    labels = jax.ShapeDtypeStruct((batch_size, side, side), jnp.uint8)
    batch = {"inputs": inputs, "labels": labels, "valid": _floats(batch_size)}
    settings = (train, after, 0, make_loss(["cross-entropy"], jnp.ones(len(VOC_CLASSES))))

    def loss(part: Any, state: TrainState, batch: dict[str, Any]) -> Any:
        return segmentation_loss(part, *settings, state, batch)

    trained = state.trainable.select(state.params)
    return Step(partial(segmentation_step, *settings), state, batch, trained, loss, features)


def _floats(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def _state(
    apply: Callable[..., Any],
    variables: Any,
    optimizer: optax.GradientTransformation,
    trainable: Trainable = EVERYTHING,
) -> TrainState:
    return jax.eval_shape(lambda variables: create_state(apply, variables, optimizer, trainable), variables)


def measure_step(step: Step) -> dict[str, int]:
    """Return the bytes of the arguments of a step, its kept activations, and its temporary memory."""
    options = compiler_options(jax.default_backend()) | (QUICKLY if jax.default_backend() == "cpu" else {})
    lowered = jax.jit(step.step, donate_argnums=0, compiler_options=options).lower(step.state, step.batch)
    found: Any = lowered.compile().memory_analysis()
    return {
        "parameters": bytes_of(step.state.params),
        "optimizer": bytes_of(step.state.opt_state),
        "gradients": bytes_of(step.trained),
        "kept": bytes_kept(step.loss, step.trained, step.state, step.batch),
        "temporary": found.temp_size_in_bytes,
        # The new state replaces the old one, which is donated.
        "whole": found.argument_size_in_bytes
        + found.temp_size_in_bytes
        + found.output_size_in_bytes
        - found.alias_size_in_bytes,
        "features": step.features,
    }


def bytes_of(tree: Any) -> int:
    """Return the bytes of all arrays."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def bytes_kept(loss: Callable[..., Any], trained: Any, *arguments: Any) -> int:
    """Return the bytes of the activations that are kept for the backward pass of a loss.

    JAX's backward function is a tree of arrays. Those that the forward pass computes are counted, each once.
    The arguments and constants, such as the zeros of a ReLU, are not counted.
    """

    def keep(trained: Any, *arguments: Any) -> list[Any]:
        _, backward, _ = jax.vjp(lambda trained: loss(trained, *arguments), trained, has_aux=True)
        return jax.tree.leaves(backward)

    program = jax.make_jaxpr(keep)(trained, *arguments).jaxpr
    given = set(program.invars)
    computed = set(given)  # all but constants
    for equation in program.eqns:
        if any(not isinstance(v, Literal) and v in computed for v in equation.invars):
            computed.update(equation.outvars)
    kept: set[Any] = {v for v in program.outvars if not isinstance(v, Literal)} & computed - given
    return sum(v.aval.size * v.aval.dtype.itemsize for v in kept)
