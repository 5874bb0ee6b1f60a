"""The loss of classified pixels, the share of right ones, and the likeliest class of each.

Logits may come in squares: labels are cut into squares then, which is less work than writing out logits.
"""

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float, UInt, UInt8

from jaxcolor.layers.resize import Part, Squares, write_out

Labels = UInt[Array, "batch height width"]


def plain_cross_entropy(logits: Part, labels: Labels, weights: Float[Array, " batch"]) -> Float[Array, ""]:
    """The sum over images of `weights` times the mean over their pixels of −log softmax at the label.

    `logits` are [batch, height, width, class] once written out; the sums are taken in float32.
    """
    logits = write_out(logits).astype(jnp.float32)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels.astype(jnp.int32))
    return jnp.sum(losses.mean(axis=(1, 2)) * weights)


def cross_entropy(logits: Part, labels: Labels, weights: Float[Array, " batch"]) -> Float[Array, ""]:
    """`plain_cross_entropy`, fast on a CPU; labels and weights have no gradient."""
    if jax.default_backend() != "cpu":
        return plain_cross_entropy(logits, labels, weights)
    return _sum_of_losses(*_pixels(logits, labels, weights))


def score(
    logits: Part, labels: Labels, weights: Float[Array, " batch"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """`plain_cross_entropy`, and the sum of `weights` times the share of pixels whose `argmax` is the label.

    For evaluation: fast on a CPU, but not for gradients.
    """
    if jax.default_backend() != "cpu":
        right = jnp.mean(argmax(logits) == labels, axis=(1, 2))
        return plain_cross_entropy(logits, labels, weights), jnp.sum(right * weights)
    values, labels, weights = _pixels(logits, labels, weights)
    maxima = lax.optimization_barrier(values.max(axis=1, keepdims=True))
    sums = lax.optimization_barrier(jnp.exp(values - maxima).sum(axis=1))
    at_labels = _at(values, labels)
    losses = jnp.log(sums) + maxima[:, 0] - at_labels
    classes = jnp.arange(values.shape[1], dtype=labels.dtype)
    before = lax.optimization_barrier(jnp.where(classes < labels[:, None], values, -jnp.inf).max(axis=1))
    is_first_largest = (at_labels == maxima[:, 0]) & (before < at_labels)
    return jnp.sum(losses * weights), jnp.sum(jnp.where(is_first_largest, weights, 0))


def _pixels(logits: Part, labels: Labels, weights: Float[Array, " batch"]) -> tuple[Array, Array, Array]:
    """Logits [pixel, class], the label of each pixel, and its share of its image's weight; in squares
    those outside of the image have none."""
    _, height, width = labels.shape
    weights = jnp.broadcast_to((weights / (height * width))[:, None, None], labels.shape)
    if isinstance(logits, Squares):
        values, offset = logits.pixels, logits.offset
        labels, weights = (Squares.cut(array[..., None], offset).pixels for array in (labels, weights))
    else:
        values = write_out(logits)
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
    """Softmax minus one at the label."""
    exponentials, sums, labels, weights = saved
    weights = gradient * weights
    shares, weights = lax.optimization_barrier((weights / sums, weights))
    is_label = labels[:, None] == jnp.arange(exponentials.shape[1], dtype=labels.dtype)
    return exponentials * shares[:, None] - jnp.where(is_label, weights[:, None], 0), None, None


_sum_of_losses.defvjp(_forward, _backward)


def argmax(logits: Part) -> UInt8[Array, "batch height width"]:
    """The class with the largest logit, of equal ones the first, among at most 256."""
    if isinstance(logits, Squares):
        likeliest = _argmax(logits.pixels)[..., None]
        return write_out(logits.replace(pixels=likeliest))[..., 0]
    return _argmax(write_out(logits))


def _argmax(logits: Float[Array, "*pixels class"]) -> UInt8[Array, "*pixels"]:
    """Two plain reductions, each of which a CPU does for many pixels at once, unlike that of `jnp.argmax`."""
    is_largest = logits == logits.max(axis=-1, keepdims=True)
    classes = jnp.arange(logits.shape[-1], dtype=jnp.float32)
    return jnp.where(is_largest, classes, jnp.inf).min(axis=-1).astype(jnp.uint8)
