"""Segmentation as pure functions: the train step, the evaluation step, features and prediction.

A batch holds `inputs`, images [batch, height, width, 3] of bytes or the features that a frozen part makes
of them; `labels` [batch, rows, columns] with `VOID` where nothing counts; and `mask` [batch], 0 for images
that only fill up the batch (their labels are void). For evaluation labels have the size of the original
masks, and `rows` and `columns` are the matrices that interpolate a image's logits to it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from jaxcolor.data.examples import VOID
from jaxcolor.models.deeplabv3 import Given, Trained, interpolate, upsample
from jaxcolor.segmentation.frozen import merge, trainable_part
from jaxcolor.segmentation.preprocess import normalize
from jaxcolor.training.engine import Batch, Sums
from jaxcolor.training.state import TrainState

AUX_WEIGHT = 0.5  # of the auxiliary head's loss, as in torchvision's training
# What is trained → the part behind which it begins: what that computes is what training is given.
BEHIND: dict[Trained, Given] = {"last": "head", "head": "backbone", "all": "images"}

Labels = Integer[Array, "batch height width"]


def train_step(
    train: Trained,
    given: Given,
    seed: int,
    class_weights: Float[Array, " class"],
    state: TrainState,
    batch: Batch,
) -> tuple[TrainState, Sums]:
    """One step of the optimizer for the part of the network that is trained.

    `given` says what the batch's inputs are. The sums are the loss times its pixels' weights, and these.
    """
    # Gradients of what is trained alone: no backward pass goes through anything frozen.
    part = trainable_part(state.params, train)
    differentiate = jax.value_and_grad(batch_loss, has_aux=True)
    (loss, (statistics, weight)), gradients = differentiate(
        part, train, given, seed, class_weights, state, batch
    )
    zeros = jax.tree.map(jnp.zeros_like, state.params)
    updates, opt_state = state.optimizer.update(merge(zeros, gradients), state.opt_state, state.params)
    # Added to what is trained alone, too: -0.0 + 0.0 is 0.0, and frozen means every bit.
    moved = jax.tree.map(jnp.add, part, trainable_part(updates, train))
    state = state.replace(
        step=state.step + 1,
        params=merge(state.params, moved),
        batch_stats=merge(state.batch_stats, statistics),
        opt_state=opt_state,
    )
    return state, {"loss": loss * weight, "count": weight}


def batch_loss(
    part: dict[str, Any],
    train: Trained,
    given: Given,
    seed: int,
    class_weights: Float[Array, " class"],
    state: TrainState,
    batch: Batch,
) -> tuple[Float[Array, ""], tuple[dict[str, Any], Float[Array, ""]]]:
    """The mean loss a pixel as a function of the parameters that are trained.

    Besides, the statistics of BatchNorm that it changes, and the weight of all pixels.
    """
    (logits, aux), updates = state.apply_fn(
        {"params": merge(state.params, part), "batch_stats": state.batch_stats},
        _network_input(batch, given),
        given=given,
        train=train,
        mask=batch["mask"],
        mutable=["batch_stats"],
        rngs={"dropout": jax.random.fold_in(jax.random.key(seed), state.step)},
    )
    size = batch["labels"].shape[1:]
    total, weight = cross_entropy_sum(upsample(logits, size), batch["labels"], class_weights)
    if aux is not None:
        of_aux, _ = cross_entropy_sum(upsample(aux, size), batch["labels"], class_weights)
        total = total + AUX_WEIGHT * of_aux
    # A batch of void alone has no loss and no gradients.
    loss = total / jnp.maximum(weight, jnp.finfo(weight.dtype).tiny)
    return loss, (updates.get("batch_stats", {}), weight)


def evaluate_step(given: Given, state: TrainState, batch: Batch) -> Sums:
    """Confusion matrix and loss at the masks' own sizes: unweighted sums over pixels that are not void."""
    logits, _ = state.apply_fn(state.variables, _network_input(batch, given), given=given)
    classes = logits.shape[-1]

    def evaluate_image(image: tuple[Array, Array, Array, Array]) -> Sums:
        # Image by image: all of a batch's logits at full size take much memory.
        logits, labels, rows, columns = image
        large = interpolate(logits[None], rows, columns)
        loss, count = cross_entropy_sum(large, labels[None], jnp.ones(classes))
        counted = (labels != VOID).ravel()
        place = jnp.where(counted, labels.ravel().astype(jnp.int32) * classes, 0)
        pairs = place + large.argmax(-1).ravel()
        confusion = jnp.bincount(pairs, counted.astype(jnp.float32), length=classes**2)
        return {"loss": loss, "count": count, "confusion": confusion.reshape(classes, classes)}

    return jax.lax.map(evaluate_image, (logits, batch["labels"], batch["rows"], batch["columns"]))


def features_of(
    behind: Given, state: TrainState, images: Integer[Array, "batch height width 3"]
) -> Float[Array, "batch rows columns channel"]:
    """What the part that is trained is given, computed by the frozen part."""
    return state.apply_fn(state.variables, normalize(images), behind=behind, method="features")


def predict(
    state: TrainState,
    image: Integer[Array, "1 height width 3"],
    rows: Float[Array, "_ _"],
    columns: Float[Array, "_ _"],
) -> Integer[Array, "_ _"]:
    """The likeliest class of each pixel, at the size to which `rows` and `columns` interpolate."""
    logits, _ = state.apply_fn(state.variables, normalize(image))
    return interpolate(logits, rows, columns)[0].argmax(-1).astype(jnp.uint8)


def cross_entropy_sum(
    logits: Float[Array, "batch height width class"], labels: Labels, class_weights: Float[Array, " class"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The sum of the pixels' weighted cross-entropies, and that of their weights; void weighs nothing."""
    is_label = labels[..., None] == jnp.arange(logits.shape[-1])
    chosen = jnp.where(is_label, logits, 0).sum(-1)
    weights = jnp.where(is_label, class_weights, 0).sum(-1)
    losses = jax.nn.logsumexp(logits, axis=-1) - chosen
    return (weights * losses).sum(), weights.sum()


def _network_input(batch: Batch, given: Given) -> Array:
    return normalize(batch["inputs"]) if given == "images" else batch["inputs"].astype(jnp.float32)


Step = Callable[[TrainState, Batch], Any]


def make_steps(
    train: Trained, given: Given, seed: int, class_weights: Float[Array, " class"]
) -> tuple[Step, Step]:
    """The train step and the evaluation step of a run."""
    return partial(train_step, train, given, seed, class_weights), partial(evaluate_step, given)
