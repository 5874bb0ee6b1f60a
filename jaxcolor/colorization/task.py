"""Colourization as pure functions: the train step, the evaluation step, and prediction."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt, UInt8

from jaxcolor.colorization.preprocess import gray, scale
from jaxcolor.layers import Part, Squares, argmax, cross_entropy, write_out
from jaxcolor.training.loop import Batch, Sums
from jaxcolor.training.state import TrainState


def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Sums]:
    """One step of the optimiser on a batch's `inputs` and `labels`; `mask` leaves padding out."""
    count = _count(batch)

    def loss_of(params: dict) -> tuple[Array, dict]:
        logits, updates = state.apply_fn(
            state.variables | {"params": params},
            batch["inputs"],
            train=True,
            mask=batch["mask"],
            mutable=["batch_stats"],
        )
        return cross_entropy(*pixel_rows(logits, batch)) / count, updates["batch_stats"]

    (loss, batch_stats), gradients = jax.value_and_grad(loss_of, has_aux=True)(state.params)
    return state.apply_gradients(gradients, batch_stats), {"loss": loss * count, "count": count}


def evaluate_step(state: TrainState, batch: Batch) -> Sums:
    """Sums over a batch's pictures, with BatchNorm's running statistics: of the mean cross-entropy of
    their pixels (`loss`), of their share of right pixels (`right`), and of themselves (`count`)."""
    logits, labels, weights = pixel_rows(state.apply_fn(state.variables, batch["inputs"], train=False), batch)
    right = argmax(logits) == labels
    return {
        "loss": cross_entropy(logits, labels, weights),
        "right": jnp.sum(right * weights),
        "count": _count(batch),
    }


def predict(
    state: TrainState, inputs: Float[Array, "batch height width channel"]
) -> UInt8[Array, "batch height width"]:
    """The palette index of each pixel's likeliest colour."""
    logits = state.apply_fn(state.variables, inputs, train=False)
    likeliest = jax.tree.map(lambda part: argmax(part)[..., None], logits)
    return write_out(likeliest)[..., 0]


def predict_pictures(
    state: TrainState,
    pictures: UInt8[Array, "batch height width 3"],
    palette: Float[Array, "colors 3"],
) -> UInt8[Array, "batch height width 3"]:
    """Pictures of any colours, coloured: grey in, palette colours out."""
    colors = jnp.round(palette * 256).clip(0, 255).astype(jnp.uint8)
    return colors[predict(state, gray(scale(pictures)))]


def pixel_rows(
    logits: Part, batch: Batch
) -> tuple[Float[Array, "pixels color"], UInt[Array, " pixels"], Float[Array, " pixels"]]:
    """Logits, labels and weights of a batch's pixels, in the order in which the logits lie in memory.

    The weights of a picture's pixels add up to 1, or to 0 for padding.
    """
    labels = batch["labels"]
    pictures, height, width = labels.shape
    counted = jnp.ones(pictures) if batch["mask"] is None else batch["mask"]
    weights = jnp.broadcast_to((counted / (height * width))[:, None, None], labels.shape)
    if isinstance(logits, Squares):
        labels, weights = (
            Squares.cut(array[..., None], logits.offset).pixels for array in (labels, weights)
        )
        logits = logits.pixels
        labels, weights = jax.lax.optimization_barrier((labels, weights))
    logits = write_out(logits).astype(jnp.float32)
    return logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), weights.reshape(-1)


def _count(batch: Batch) -> Float[Array, ""]:
    return jnp.float32(len(batch["labels"])) if batch["mask"] is None else batch["mask"].sum()
