"""Segmentation as pure functions: the train step, the evaluation step, features and prediction.

A batch holds `inputs`, uint8 images [batch, height, width, 3] or a tuple of frozen features; `labels`
[batch, rows, columns], with `VOID` for pixels that do not count; and `valid` [batch], 0 for padding, whose
labels are void. For evaluation the labels have the size of the original label maps, and `rows` and `columns`
are the matrices that interpolate the logits of each image to that size.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from jaxcolor.data.label_maps import VOID
from jaxcolor.layers.conv_norm import Features
from jaxcolor.layers.resize import interpolate_planes
from jaxcolor.models.segmentation import Inputs, Part, Stage
from jaxcolor.pretrained.imagenet import normalize
from jaxcolor.segmentation.losses import BatchLoss, cross_entropy
from jaxcolor.training.devices import map_images
from jaxcolor.training.engine import Batch, Step, Sums
from jaxcolor.training.freezing import Trainable
from jaxcolor.training.state import TrainState

AUX_WEIGHT = 0.5  # weight of the auxiliary head's loss, as in torchvision's training

# `--train` → the rule for what is trainable, and the frozen part before it.
TRAINABLE: dict[Part, Trainable] = {
    "last": Trainable(r"head/classifier/.*"),
    "head": Trainable(r"head/.*"),
    "all": Trainable(r".*"),
}
BACKBONE = Trainable(r"backbone/.*")
FROZEN: dict[Part, Stage] = {"last": "head", "head": "backbone", "all": "images"}


def train_step(
    train: Part,
    after: Stage,
    seed: int,
    loss: BatchLoss,
    state: TrainState,
    batch: Batch,
) -> tuple[TrainState, Sums]:
    """Make one step of the optimizer. Return the loss times the sum of the pixels' weights, and that sum.

    `train` is the part to train. The inputs of the batch are images, or the features `after` a part.
    """
    # The gradient of the trainable part alone: the backward pass ends where the frozen part begins.
    differentiate = jax.value_and_grad(batch_loss, has_aux=True)
    (value, (batch_stats, weight)), grads = differentiate(
        state.trainable.select(state.params), train, after, seed, loss, state, batch
    )
    batch_stats = state.trainable.merge(state.batch_stats, batch_stats)
    state = state.apply_gradients(grads=grads, batch_stats=batch_stats)
    return state, {"loss": value * weight, "count": weight}


def batch_loss(
    part: dict[str, Any],
    train: Part,
    after: Stage,
    seed: int,
    loss: BatchLoss,
    state: TrainState,
    batch: Batch,
) -> tuple[Float[Array, ""], tuple[dict[str, Any], Float[Array, ""]]]:
    """Return the loss as a function of the trainable parameters.

    Also return the new running averages of BatchNorm, and the sum of the pixels' weights.
    """
    (logits, aux), updates = state.apply_fn(
        {"params": state.trainable.merge(state.params, part), "batch_stats": state.batch_stats},
        network_input(batch, after),
        after=after,
        train=train,
        valid=batch["valid"],
        mutable=["batch_stats"],
        rngs={"dropout": jax.random.fold_in(jax.random.key(seed), state.step)},
        method="with_auxiliary",
    )
    total, weight = loss(logits, batch["labels"])
    if aux is not None:
        of_aux, _ = loss(aux, batch["labels"])
        total = total + AUX_WEIGHT * of_aux
    return total, (updates.get("batch_stats", state.batch_stats), weight)


def evaluate_step(after: Stage, devices: int, state: TrainState, batch: Batch) -> Sums:
    """Return loss, pixel count and confusion matrix of each image, at the size of its label map."""
    logits = state.apply_fn(state.averaged, network_input(batch, after), after=after)
    classes = logits.shape[-1]

    def evaluate_image(image: tuple[Array, Array, Array, Array]) -> Sums:
        logits, labels, rows, columns = image
        large = interpolate_planes(logits, rows, columns)
        loss, count = cross_entropy(large, labels, jnp.ones(classes))
        counted = (labels != VOID).ravel()
        place = jnp.where(counted, labels.ravel().astype(jnp.int32) * classes, 0)
        pairs = place + large.argmax(axis=0).ravel()
        confusion = jnp.bincount(pairs, counted.astype(jnp.float32), length=classes**2)
        return {"loss": loss, "count": count, "confusion": confusion.reshape(classes, classes)}

    images = (logits, batch["labels"], batch["rows"], batch["columns"])
    return map_images(evaluate_image, images, devices)


def features_after(
    part: Stage, state: TrainState, images: Integer[Array, "batch height width 3"]
) -> tuple[Features, ...]:
    """Return the features of uint8 images after a frozen part of the network."""
    return state.apply_fn(state.variables, normalize(images), after=part, method="features")


def predict(
    state: TrainState,
    image: Integer[Array, "1 height width 3"],
    rows: Float[Array, "_ _"],
    columns: Float[Array, "_ _"],
) -> Integer[Array, "_ _"]:
    """Return the most likely class of each pixel, at the size that `rows` and `columns` interpolate to."""
    return logits_of(state, image, rows, columns).argmax(axis=0).astype(jnp.uint8)


def logits_of(
    state: TrainState,
    image: Integer[Array, "1 height width 3"],
    rows: Float[Array, "_ _"],
    columns: Float[Array, "_ _"],
) -> Float[Array, "class _ _"]:
    """Return the logits of an image, interpolated to another size."""
    return interpolate_planes(state.apply_fn(state.averaged, normalize(image))[0], rows, columns)


def network_input(batch: Batch, after: Stage) -> Inputs:
    """Return normalized images, or features in float32."""
    if after == "images":
        return normalize(batch["inputs"])
    return tuple(features.astype(jnp.float32) for features in batch["inputs"])


def make_train_step(train: Part, after: Stage, seed: int, loss: BatchLoss) -> Step:
    """Return the train step of a run."""
    return partial(train_step, train, after, seed, loss)
