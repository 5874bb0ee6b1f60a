"""Colorization as pure functions: the train step, the evaluation step, and prediction.

A batch holds `inputs` [batch, height, width, channel], `labels` [batch, height, width] with indices into the
palette, and `valid` [batch], which is 1 for images and 0 for padding, or None.
"""

from collections import OrderedDict
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, UInt8

from jaxcolor.colorization.augment import augment
from jaxcolor.colorization.preprocess import network_input
from jaxcolor.layers import argmax, cross_entropy, score
from jaxcolor.training.engine import Batch, Step, Sums
from jaxcolor.training.state import TrainState


def make_train_step(seed: int = 0, flip: bool = False, shift: int = 0, label_smoothing: float = 0.0) -> Step:
    """Return the train step of a run, with the random changes of its images and its target."""
    if not (flip or shift or label_smoothing):
        return train_step

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Sums]:
        if flip or shift:
            key = jax.random.fold_in(jax.random.key(seed), state.step)
            inputs, labels = augment(key, batch["inputs"], batch["labels"], flip, shift)
            batch = batch | {"inputs": inputs, "labels": labels}
        return train_step(state, batch, label_smoothing)

    return step


def train_step(state: TrainState, batch: Batch, label_smoothing: float = 0.0) -> tuple[TrainState, Sums]:
    """Make one step of the optimizer. Return the sum of the images' cross-entropies, and their number."""
    differentiate = jax.value_and_grad(batch_loss, has_aux=True)
    (loss, batch_stats), grads = differentiate(state.params, state, batch, label_smoothing)
    count = _valid(batch).sum()
    state = state.apply_gradients(grads=grads, batch_stats=batch_stats)
    return state, {"loss": loss * count, "count": count}


def batch_loss(
    params: dict[str, Any], state: TrainState, batch: Batch, label_smoothing: float = 0.0
) -> tuple[Float[Array, ""], Any]:
    """Return the mean cross-entropy of the images, and the new running averages of BatchNorm.

    With `label_smoothing` (Szegedy et al., arXiv:1512.00567) that share of each pixel's target is spread
    over all colors.
    """
    logits, updates = state.apply_fn(
        state.variables | {"params": params},
        batch["inputs"],
        train=True,
        valid=batch["valid"],
        mutable=["batch_stats"],
    )
    valid = _valid(batch)
    weights = valid / valid.sum()
    loss = cross_entropy(logits, batch["labels"], weights)
    if label_smoothing:
        loss += label_smoothing * _lead_of_labels(logits, batch["labels"], weights)
    return loss, updates.get("batch_stats", state.batch_stats)


def evaluate_step(state: TrainState, batch: Batch) -> Sums:
    """Return the same sums with running averages, and the sum of the shares of correct pixels per image."""
    valid = _valid(batch)
    logits = state.apply_fn(state.averaged, batch["inputs"], train=False)
    loss, correct = score(logits, batch["labels"], valid)
    return {"loss": loss, "correct": correct, "count": valid.sum()}


def predict(
    state: TrainState, inputs: Float[Array, "batch height width channel"]
) -> UInt8[Array, "batch height width"]:
    """Return the palette index of the most likely color of each pixel."""
    return argmax(state.apply_fn(state.averaged, inputs, train=False))


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
) -> OrderedDict[str, Float[Array, "batch _ _ _"]]:
    """Return the output of each module that the network calls directly, by its name, and the logits.

    The modules are in the order of their calls, which a dict would lose in `jax.jit`. One that is called
    several times is represented by its last call. The name of the logits is "logits". With `train` BatchNorm
    uses the statistics of the batch.
    """
    calls: list[str] = []

    def is_direct(module: nn.Module, method: str) -> bool:
        found = method == "__call__" and len(module.path) == 1
        calls.extend(module.path if found else ())
        return found

    logits, captured = state.apply_fn(
        state.variables if train else state.averaged,
        inputs,
        train=train,
        mutable=["batch_stats", "intermediates"],
        capture_intermediates=is_direct,
    )
    outputs = OrderedDict()
    for name in reversed(dict.fromkeys(reversed(calls))):
        output = captured["intermediates"][name]["__call__"][-1]
        if isinstance(output, jax.Array) and output.ndim == 4 and output is not logits:
            outputs[name] = output
    outputs["logits"] = logits
    return outputs


def _lead_of_labels(
    logits: Float[Array, "batch height width color"],
    labels: UInt8[Array, "batch height width"],
    weights: Float[Array, " batch"],
) -> Float[Array, ""]:
    """Return how far the logits of the labels are above the mean logits: what smoothing adds to the loss."""
    is_label = labels[..., None] == jnp.arange(logits.shape[-1])
    logits = logits.astype(jnp.float32)
    leads = jnp.where(is_label, logits, 0).sum(-1) - logits.mean(-1)
    return (leads.mean(axis=(1, 2)) * weights).sum()


def _valid(batch: Batch) -> Float[Array, " batch"]:
    """Return 1 for images and 0 for padding."""
    return jnp.ones(len(batch["labels"])) if batch["valid"] is None else batch["valid"]
