"""Cross-entropy per pixel, accuracy, and the most likely class of each pixel.

On a CPU logits that a convolution computed in 2×2 squares are used as they are: cutting the labels into
squares is less work than putting the logits together.
"""

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float, UInt, UInt8

from jaxcolor.layers.conv.squares import cut, join
from jaxcolor.layers.fusion import Squares, source_of

Logits = Float[Array, "batch height width class"]
Labels = UInt[Array, "batch height width"]
Weights = Float[Array, " batch"]


def plain_cross_entropy(logits: Logits, labels: Labels, weights: Weights) -> Float[Array, ""]:
    """Return Σ over images of weight · (mean over pixels of −log softmax(logits)[label]), in float32."""
    losses = optax.softmax_cross_entropy_with_integer_labels(
        logits.astype(jnp.float32), labels.astype(jnp.int32)
    )
    return jnp.sum(losses.mean(axis=(1, 2)) * weights)


def cross_entropy(logits: Logits, labels: Labels, weights: Weights) -> Float[Array, ""]:
    """`plain_cross_entropy`, fast on a CPU. Labels and weights have no gradient."""
    if jax.default_backend() != "cpu":
        return plain_cross_entropy(logits, labels, weights)
    return _sum_of_losses(*_pixels(logits, labels, weights))


def score(logits: Logits, labels: Labels, weights: Weights) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Return `plain_cross_entropy`, and Σ over images of weight · accuracy, for evaluation.

    The accuracy is the share of pixels whose `argmax` is the label. There are no gradients on a CPU.
    """
    if jax.default_backend() != "cpu":
        correct = jnp.mean(argmax(logits) == labels, axis=(1, 2))
        return plain_cross_entropy(logits, labels, weights), jnp.sum(correct * weights)
    values, labels, weights = _pixels(logits, labels, weights)
    maxima = lax.optimization_barrier(values.max(axis=1, keepdims=True))
    sums = lax.optimization_barrier(jnp.exp(values - maxima).sum(axis=1))
    at_labels = _at(values, labels)
    losses = jnp.log(sums) + maxima[:, 0] - at_labels
    classes = jnp.arange(values.shape[1], dtype=labels.dtype)
    before = lax.optimization_barrier(jnp.where(classes < labels[:, None], values, -jnp.inf).max(axis=1))
    is_first_maximum = (at_labels == maxima[:, 0]) & (before < at_labels)
    return jnp.sum(losses * weights), jnp.sum(jnp.where(is_first_maximum, weights, 0))


def _pixels(logits: Logits, labels: Labels, weights: Weights) -> tuple[Array, Array, Array]:
    """Return logits [pixel, class], the label of each pixel, and its share of the weight of its image.

    In squares, pixels outside of the image have no weight.
    """
    _, height, width = labels.shape
    weights = jnp.broadcast_to((weights / (height * width))[:, None, None], labels.shape)
    values, source = logits, source_of(logits)
    if isinstance(source, Squares):
        values = source.pixels
        labels, weights = (cut(array[..., None], source.offset).pixels for array in (labels, weights))
    # Without the barrier XLA rearranges labels and weights again for each class.
    labels, weights = lax.optimization_barrier((labels.reshape(-1), weights.reshape(-1)))
    return values.reshape(-1, values.shape[-1]).astype(jnp.float32), labels, weights


def _at(logits: Float[Array, "pixels class"], labels: UInt[Array, " pixels"]) -> Float[Array, " pixels"]:
    indices = labels[:, None].astype(jnp.int32)
    return jnp.take_along_axis(logits, indices, axis=1, mode="promise_in_bounds")[:, 0]


@jax.custom_vjp
def _sum_of_losses(
    logits: Float[Array, "pixels class"], labels: UInt[Array, " pixels"], weights: Float[Array, " pixels"]
) -> Float[Array, ""]:
    return _forward(logits, labels, weights)[0]


def _forward(logits: Array, labels: Array, weights: Array) -> tuple[Array, tuple[Array, ...]]:
    # The barriers keep XLA from computing maxima and exponentials again for each class.
    maxima = lax.optimization_barrier(logits.max(axis=1, keepdims=True))
    exponentials = lax.optimization_barrier(jnp.exp(logits - maxima))
    sums = lax.optimization_barrier(exponentials.sum(axis=1))
    losses = jnp.log(sums) + maxima[:, 0] - _at(logits, labels)
    return jnp.sum(losses * weights), (exponentials, sums, labels, weights)


def _backward(saved: tuple[Array, ...], gradient: Array) -> tuple[Array, None, None]:
    """The gradient is weight · (softmax(logits) − one_hot(label))."""
    exponentials, sums, labels, weights = saved
    weights = gradient * weights
    shares, weights = lax.optimization_barrier((weights / sums, weights))
    is_label = labels[:, None] == jnp.arange(exponentials.shape[1], dtype=labels.dtype)
    return exponentials * shares[:, None] - jnp.where(is_label, weights[:, None], 0), None, None


_sum_of_losses.defvjp(_forward, _backward)


def argmax(logits: Logits) -> UInt8[Array, "batch height width"]:
    """Return the first class with the largest logit. There are at most 256 classes."""
    if isinstance(source := source_of(logits), Squares):
        classes = _argmax(source.pixels)[..., None]
        return join(Squares(classes, source.offset))[..., 0]
    return _argmax(logits)


def _argmax(logits: Float[Array, "*pixels class"]) -> UInt8[Array, "*pixels"]:
    """`jnp.argmax` as two plain reductions, which a CPU computes for many pixels at once."""
    is_maximum = logits == logits.max(axis=-1, keepdims=True)
    classes = jnp.arange(logits.shape[-1], dtype=jnp.float32)
    return jnp.where(is_maximum, classes, jnp.inf).min(axis=-1).astype(jnp.uint8)
