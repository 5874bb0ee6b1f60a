"""The softmax cross-entropy, with a gradient that goes over the logits once."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Integer, UInt8

Logits = Float[Array, "pixels classes"]
Labels = Integer[Array, " pixels"]
Weights = Float[Array, " pixels"]


def plain_cross_entropy(logits: Logits, labels: Labels, weights: Weights) -> Float[Array, ""]:
    """The definition: the sum of −log softmax at the labels, each pixel's weighted."""
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels.astype(jnp.int32))
    return jnp.sum(losses * weights)


@jax.custom_vjp
def cross_entropy(logits: Logits, labels: Labels, weights: Weights) -> Float[Array, ""]:
    """`plain_cross_entropy`; the labels and weights have no gradient."""
    return _forward(logits, labels, weights)[0]


def _forward(logits: Logits, labels: Labels, weights: Weights) -> tuple[Array, tuple[Array, ...]]:
    # The barriers keep XLA from computing maxima and exponentials again for every class.
    maxima = jax.lax.optimization_barrier(logits.max(axis=1, keepdims=True))
    exponentials = jax.lax.optimization_barrier(jnp.exp(logits - maxima))
    sums = jax.lax.optimization_barrier(exponentials.sum(axis=1))
    at_labels = jnp.take_along_axis(
        logits, labels[:, None].astype(jnp.int32), axis=1, mode="promise_in_bounds"
    )
    losses = jnp.log(sums) + (maxima - at_labels)[:, 0]
    return jnp.sum(losses * weights), (exponentials, sums, labels, weights)


def _backward(saved: tuple[Array, ...], gradient: Array) -> tuple[Array, None, None]:
    exponentials, sums, labels, weights = saved
    weights = jax.lax.optimization_barrier(gradient * weights)
    is_label = labels[:, None] == jnp.arange(exponentials.shape[1], dtype=labels.dtype)
    shares = jax.lax.optimization_barrier(weights / sums)
    return exponentials * shares[:, None] - jnp.where(is_label, weights[:, None], 0), None, None


cross_entropy.defvjp(_forward, _backward)


def argmax(logits: Float[Array, "*pixels classes"]) -> UInt8[Array, "*pixels"]:
    """The class with the largest logit, of equal ones the first, among at most 256.

    Two plain reductions, each of which a CPU does for many pixels at once; `jnp.argmax` does not.
    """
    is_largest = logits == logits.max(axis=-1, keepdims=True)
    classes = jnp.arange(logits.shape[-1], dtype=jnp.float32)
    return jnp.where(is_largest, classes, jnp.inf).min(axis=-1).astype(jnp.uint8)
