"""Coloring photographs as pure functions: the train step, the evaluation step, and prediction.

A batch holds `images`, uint8 RGB [batch, side, side, 3], and `valid` [batch], 0 for padding, or None.
"""

from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, UInt8

from jaxcolor import oklab
from jaxcolor.models.photo import STRIDE
from jaxcolor.photo.chroma import Chroma, cells, decode, levels, rebalancing, shrink
from jaxcolor.pretrained.imagenet import normalize
from jaxcolor.training.engine import Batch, Step, Sums
from jaxcolor.training.freezing import Trainable
from jaxcolor.training.state import TrainState

Part = Literal["decoder", "upper", "all"]
# What --train makes trainable.
TRAINABLE: dict[Part, Trainable] = {
    "decoder": Trainable(r"(decoder|classifier)/.*"),
    "upper": Trainable(r"(decoder|classifier|backbone/block([5-9]|1\d))/.*"),  # strides of 16 and 32
    "all": Trainable(),
}
BACKBONE = Trainable(r"backbone/.*")

Lab = Float[Array, "batch height width 3"]
Logits = Float[Array, "batch rows columns bins"]


class Tables(NamedTuple):
    """The numbers of `Chroma` on the device, and the weights of the bins in the loss."""

    centers: Float[Array, "bins 2"]
    nearest: Int[Array, " cells"]
    log_prior: Float[Array, "levels bins"]
    weights: Float[Array, " bins"]


def make_tables(chroma: Chroma, rebalance: float) -> Tables:
    """Return the tables for a power of the weights."""
    centers, nearest, log_prior = (jnp.asarray(array) for array in chroma[:3])
    weights = rebalancing(chroma.frequencies, rebalance)
    return Tables(centers, nearest.astype(jnp.int32), log_prior, jnp.asarray(weights))


def to_lab(images: UInt8[Array, "batch height width 3"]) -> Lab:
    """Return images in OKLab."""
    return oklab.from_srgb(images.astype(jnp.float32) / 255)


def network_input(lightness: Float[Array, "batch height width"]) -> Float[Array, "batch height width 3"]:
    """Return gray images with a lightness, as the backbone's weights expect them."""
    values = 255 * oklab.gray(lightness)
    return normalize(jnp.broadcast_to(values[..., None], (*values.shape, 3)))


def with_prior(
    logits: Logits, lightness: Float[Array, "batch height width"], log_prior: Float[Array, "levels bins"]
) -> Logits:
    """Add the logarithm of the prior at the mean lightness of each square."""
    small = shrink(lightness[..., None], STRIDE)[..., 0]
    return logits + log_prior[levels(small)]


def train_step(tables: Tables, batch_norm: bool, state: TrainState, batch: Batch) -> tuple[TrainState, Sums]:
    """Make one step of the optimizer. Return the weighted sum of the squares' losses, and of the weights.

    With `batch_norm` the decoder is normalized by the statistics of the batch, otherwise by their running
    averages, which then stay as they are.
    """
    lab = to_lab(batch["images"])
    differentiate = jax.value_and_grad(batch_loss, has_aux=True)
    part = state.trainable.select(state.params)
    (loss, (batch_stats, weight)), grads = differentiate(part, tables, batch_norm, state, lab, batch["valid"])
    batch_stats = state.trainable.merge(state.batch_stats, batch_stats)
    state = state.apply_gradients(grads=grads, batch_stats=batch_stats)
    return state, {"loss": loss * weight, "count": weight}


def batch_loss(
    part: dict[str, Any],
    tables: Tables,
    batch_norm: bool,
    state: TrainState,
    lab: Lab,
    valid: Float[Array, " batch"] | None,
) -> tuple[Float[Array, ""], tuple[dict[str, Any], Float[Array, ""]]]:
    """Return the mean loss as a function of the trainable parameters, the new averages and the weight."""
    logits, updates = state.apply_fn(
        {"params": state.trainable.merge(state.params, part), "batch_stats": state.batch_stats},
        network_input(lab[..., 0]),
        train=batch_norm,
        valid=valid,
        mutable=["batch_stats"],
    )
    total, weight = cross_entropy_sum(tables, with_prior(logits, lab[..., 0], tables.log_prior), lab, valid)
    return total / weight, (updates["batch_stats"], weight)


def cross_entropy_sum(
    tables: Tables, logits: Logits, lab: Lab, valid: Float[Array, " batch"] | None
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Return the weighted sum of the squares' cross-entropies, and the sum of their weights."""
    labels = tables.nearest[cells(shrink(lab, STRIDE))]
    weights = tables.weights[labels]
    if valid is not None:
        weights = weights * valid[:, None, None]
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return (weights * losses).sum(), weights.sum()


def evaluate_step(tables: Tables, vividness: float, state: TrainState, batch: Batch) -> Sums:
    """Return the loss, and errors and colorfulness of the images.

    `safe` and `vivid` are the mean squared errors in sRGB at a vividness of 0, and at the given one. `gray`
    is that of the gray image. `colors` is the mean chroma of the vivid colors, and `true_colors` that of the
    images.
    """
    lab = to_lab(batch["images"])
    lightness = lab[..., 0]
    logits = state.apply_fn(state.averaged, network_input(lightness))
    logits = with_prior(logits, lightness, tables.log_prior)
    valid = batch["valid"]
    total, weight = cross_entropy_sum(tables, logits, lab, valid)
    valid = jnp.ones(len(lab)) if valid is None else valid
    original = batch["images"].astype(jnp.float32) / 255

    def error(chroma: Float[Array, "batch rows columns 2"]) -> Float[Array, ""]:
        large = jax.image.resize(chroma, (*lightness.shape, 2), "bilinear")
        colors = oklab.to_srgb(jnp.concatenate([lightness[..., None], large], axis=-1))
        return (valid * jnp.square(colors.clip(0, 1) - original).mean(axis=(1, 2, 3))).sum()

    def mean_chroma(chroma: Float[Array, "batch rows columns 2"]) -> Float[Array, ""]:
        return (valid * jnp.linalg.norm(chroma, axis=-1).mean(axis=(1, 2))).sum()

    safe, vivid = (decode(logits, tables.centers, tables.weights, dial) for dial in (0.0, vividness))
    return {
        "loss": total,
        "weight": weight,
        "count": valid.sum(),
        "safe": error(safe),
        "vivid": error(vivid),
        "gray": error(jnp.zeros_like(safe)),
        "colors": mean_chroma(vivid),
        "true_colors": mean_chroma(shrink(lab, STRIDE)[..., 1:]),
    }


def predict_chroma(
    tables: Tables, state: TrainState, lightness: Float[Array, "batch height width"], vividness: Any
) -> Float[Array, "batch rows columns 2"]:
    """Return a and b of OKLab for each square of `STRIDE`×`STRIDE` pixels."""
    logits = state.apply_fn(state.averaged, network_input(lightness))
    logits = with_prior(logits, lightness, tables.log_prior)
    return decode(logits, tables.centers, tables.weights, vividness)


def make_train_step(tables: Tables, train: Part) -> Step:
    """Return the train step of a run.

    Where the backbone is trained, all BatchNorm layers use their running averages. Otherwise the backbone
    could change the scale of its features at will in training, and evaluation would not follow.
    """
    return partial(train_step, tables, train == "decoder")
