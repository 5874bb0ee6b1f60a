"""Colorization as pure functions: the train step, the evaluation step, and prediction."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from jaxcolor.colorization.preprocess import gray, scale
from jaxcolor.layers import argmax, cross_entropy, score, write_out
from jaxcolor.models.unet import Block
from jaxcolor.training.engine import Batch, Sums
from jaxcolor.training.state import TrainState


def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Sums]:
    """One step of the optimizer on a batch's `inputs` and `labels`; `mask` leaves padding out.

    The sums are those of the images' mean cross-entropies, and their count.
    """
    (loss, batch_stats), gradients = jax.value_and_grad(batch_loss, has_aux=True)(state.params, state, batch)
    count = _counted(batch).sum()
    return state.apply_gradients(gradients, batch_stats), {"loss": loss * count, "count": count}


def batch_loss(params: dict[str, Any], state: TrainState, batch: Batch) -> tuple[Float[Array, ""], Any]:
    """The mean cross-entropy of a batch's images, and BatchNorm's running statistics after it."""
    logits, updates = state.apply_fn(
        state.variables | {"params": params},
        batch["inputs"],
        train=True,
        mask=batch["mask"],
        mutable=["batch_stats"],
    )
    counted = _counted(batch)
    return cross_entropy(logits, batch["labels"], counted / counted.sum()), updates["batch_stats"]


def evaluate_step(state: TrainState, batch: Batch) -> Sums:
    """The same sums with BatchNorm's running statistics, and that of the images' shares of right pixels."""
    counted = _counted(batch)
    logits = state.apply_fn(state.variables, batch["inputs"], train=False)
    loss, right = score(logits, batch["labels"], counted)
    return {"loss": loss, "right": right, "count": counted.sum()}


def predict(
    state: TrainState, inputs: Float[Array, "batch height width channel"]
) -> UInt8[Array, "batch height width"]:
    """The palette index of each pixel's likeliest color."""
    return argmax(state.apply_fn(state.variables, inputs, train=False))


def predict_images(
    state: TrainState,
    images: UInt8[Array, "batch height width 3"],
    palette: Float[Array, "colors 3"],
) -> UInt8[Array, "batch height width 3"]:
    """Images of any colors, colored: gray in, palette colors out."""
    colors = jnp.round(palette * 256).clip(0, 255).astype(jnp.uint8)
    return colors[predict(state, gray(scale(images)))]


def layer_outputs(
    state: TrainState, inputs: Float[Array, "batch height width channel"], train: bool
) -> dict[str, Float[Array, "batch _ _ _"]]:
    """The output of each layer, with the batch's statistics or the running ones: `layer1` → …"""
    logits, captured = state.apply_fn(
        state.variables,
        inputs,
        train=train,
        mutable=["batch_stats", "intermediates"],
        capture_intermediates=lambda module, method: isinstance(module, Block),
    )
    outputs = {name: values["__call__"][0] for name, values in captured["intermediates"].items()}
    return {name: write_out(output) for name, output in (outputs | {"layer6": logits}).items()}


def _counted(batch: Batch) -> Float[Array, " batch"]:
    """1 for images, 0 for padding."""
    return jnp.ones(len(batch["labels"])) if batch["mask"] is None else batch["mask"]
