"""Colourization as three pure functions: the loss, the train step and the evaluation step."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, UInt

from jaxcolor.training.loop import Batch, Sums
from jaxcolor.training.state import TrainState


def pixel_sums(
    logits: Float[Array, "batch height width color"],
    labels: UInt[Array, "batch height width"],
    mask: Float[Array, " batch"] | None,
) -> Sums:
    """Cross-entropy and right pixels, each a sum of the pictures' means, and the count of pictures."""
    labels = labels.astype(jnp.int32)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), labels)
    right = (logits.argmax(axis=-1).astype(jnp.int32) == labels).astype(jnp.float32)
    counted = jnp.ones(len(labels)) if mask is None else mask
    return {
        "loss": (losses.mean(axis=(1, 2)) * counted).sum(),
        "right": (right.mean(axis=(1, 2)) * counted).sum(),
        "count": counted.sum(),
    }


def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Sums]:
    """One step of the optimiser on a batch's `inputs` and `labels`; `mask` leaves padding out."""

    def loss_of(params: dict) -> tuple[Array, tuple[Sums, dict]]:
        logits, updates = state.apply_fn(
            state.variables | {"params": params},
            batch["inputs"],
            train=True,
            mask=batch["mask"],
            mutable=["batch_stats"],
        )
        sums = pixel_sums(logits, batch["labels"], batch["mask"])
        return sums["loss"] / sums["count"], (sums, updates["batch_stats"])

    gradients, (sums, batch_stats) = jax.grad(loss_of, has_aux=True)(state.params)
    return state.apply_gradients(gradients, batch_stats), sums


def evaluate_step(state: TrainState, batch: Batch) -> Sums:
    """The sums of a batch, with BatchNorm's running statistics."""
    logits = state.apply_fn(state.variables, batch["inputs"], train=False)
    return pixel_sums(logits, batch["labels"], batch["mask"])


def predict(
    state: TrainState, inputs: Float[Array, "batch height width channel"]
) -> UInt[Array, "batch height width"]:
    """The palette index of each pixel's likeliest colour."""
    return state.apply_fn(state.variables, inputs, train=False).argmax(axis=-1).astype(jnp.uint8)
