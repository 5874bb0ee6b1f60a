"""Colorization as pure functions: the train step, the evaluation step, and prediction.

A batch holds `inputs` [batch, height, width, channel], `labels` [batch, height, width] with indices into the
palette, and `valid` [batch], which is 1 for images and 0 for padding, or None.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from jaxcolor.colorization.preprocess import network_input
from jaxcolor.layers import argmax, cross_entropy, score
from jaxcolor.training.engine import Batch, Sums
from jaxcolor.training.state import TrainState


def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Sums]:
    """Make one step of the optimizer. Return the sum of the images' cross-entropies, and their number."""
    differentiate = jax.value_and_grad(batch_loss, has_aux=True)
    (loss, batch_stats), grads = differentiate(state.params, state, batch)
    count = _valid(batch).sum()
    state = state.apply_gradients(grads=grads, batch_stats=batch_stats)
    return state, {"loss": loss * count, "count": count}


def batch_loss(params: dict[str, Any], state: TrainState, batch: Batch) -> tuple[Float[Array, ""], Any]:
    """Return the mean cross-entropy of the images, and the new running averages of BatchNorm."""
    logits, updates = state.apply_fn(
        state.variables | {"params": params},
        batch["inputs"],
        train=True,
        valid=batch["valid"],
        mutable=["batch_stats"],
    )
    valid = _valid(batch)
    loss = cross_entropy(logits, batch["labels"], valid / valid.sum())
    return loss, updates.get("batch_stats", state.batch_stats)


def evaluate_step(state: TrainState, batch: Batch) -> Sums:
    """Return the same sums with running averages, and the sum of the shares of correct pixels per image."""
    valid = _valid(batch)
    logits = state.apply_fn(state.variables, batch["inputs"], train=False)
    loss, correct = score(logits, batch["labels"], valid)
    return {"loss": loss, "correct": correct, "count": valid.sum()}


def predict(
    state: TrainState, inputs: Float[Array, "batch height width channel"]
) -> UInt8[Array, "batch height width"]:
    """Return the palette index of the most likely color of each pixel."""
    return argmax(state.apply_fn(state.variables, inputs, train=False))


def predict_images(
    state: TrainState,
    images: UInt8[Array, "batch height width 3"],
    palette: Float[Array, "colors 3"],
    downsize_input: bool = False,
) -> UInt8[Array, "batch height width 3"]:
    """Return images in the colors of the palette, from images with any colors."""
    colors = jnp.round(palette * 256).clip(0, 255).astype(jnp.uint8)
    return colors[predict(state, network_input(images, downsize_input))]


def layer_outputs(
    state: TrainState, inputs: Float[Array, "batch height width channel"], train: bool
) -> dict[str, Float[Array, "batch _ _ _"]]:
    """Return the output of each module that the network calls directly, by its name, and the logits.

    The name of the logits is "logits". With `train` BatchNorm uses the statistics of the batch. A module that
    is called several times is represented by its last call.
    """
    logits, captured = state.apply_fn(
        state.variables,
        inputs,
        train=train,
        mutable=["batch_stats", "intermediates"],
        capture_intermediates=lambda module, method: method == "__call__" and len(module.path) == 1,
    )
    outputs = {}
    for name, methods in captured.get("intermediates", {}).items():
        output = methods["__call__"][-1]
        if isinstance(output, jax.Array) and output.ndim == 4 and output is not logits:
            outputs[name] = output
    return outputs | {"logits": logits}


def _valid(batch: Batch) -> Float[Array, " batch"]:
    """Return 1 for images and 0 for padding."""
    return jnp.ones(len(batch["labels"])) if batch["valid"] is None else batch["valid"]
