"""Losses of segmentation, and sums of them: cross-entropy, focal, Dice and soft IoU.

A loss takes logits [batch, height, width, class], labels [batch, height, width], which are `VOID` for pixels
that do not count, and a weight per class. It returns a number.
"""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from jaxcolor.data.label_maps import VOID
from jaxcolor.segmentation.config import LossName

FOCUS = 2.0  # of the focal loss: a higher value gives less weight to pixels that are nearly right

Logits = Float[Array, "batch height width class"]
Labels = Integer[Array, "batch height width"]
ClassWeights = Float[Array, " class"]
Number = Float[Array, ""]
# Returns the loss, and the sum of the pixels' weights.
Loss = Callable[[Logits, Labels], tuple[Number, Number]]


def make_loss(names: Sequence[LossName], class_weights: ClassWeights) -> Loss:
    """Return the sum of the losses with these names."""
    return partial(sum_of_losses, tuple(names), class_weights)


def sum_of_losses(
    names: tuple[LossName, ...], class_weights: ClassWeights, logits: Logits, labels: Labels
) -> tuple[Number, Number]:
    """Return the sum of the losses with these names, and the sum of the pixels' weights."""
    weight = pixel_weights(labels, class_weights).sum()
    total = sum((LOSSES[name](logits, labels, class_weights) for name in names), jnp.zeros(()))
    return total, weight


def cross_entropy(logits: Logits, labels: Labels, class_weights: ClassWeights) -> Number:
    """Return the weighted mean of −log p over the pixels. p is the probability of the pixel's class."""
    return mean(*cross_entropy_sum(logits, labels, class_weights))


def cross_entropy_sum(logits: Logits, labels: Labels, class_weights: ClassWeights) -> tuple[Number, Number]:
    """Return the sum of the pixels' weighted cross-entropies, and of their weights. Void has no weight."""
    weights = pixel_weights(labels, class_weights)
    return (weights * pixel_losses(logits, labels)).sum(), weights.sum()


def focal(logits: Logits, labels: Labels, class_weights: ClassWeights) -> Number:
    """Return the weighted mean of −(1 − p)² log p over the pixels (Lin et al., arXiv:1708.02002)."""
    losses = pixel_losses(logits, labels)
    weights = pixel_weights(labels, class_weights)
    return mean((weights * (1 - jnp.exp(-losses)) ** FOCUS * losses).sum(), weights.sum())


def dice(logits: Logits, labels: Labels, class_weights: ClassWeights) -> Number:
    """Return the mean of 1 − 2 |A ∩ B| / (|A| + |B|) over the classes in the labels.

    A is the set of the pixels of a class. In B, the prediction, each pixel counts with the probability of the
    class (Milletari et al., arXiv:1606.04797). The weights of the classes are not used: all count alike.
    """
    both, either = overlaps(logits, labels)
    return mean_of_present(1 - 2 * both / jnp.maximum(either, 1), labels)


def soft_iou(logits: Logits, labels: Labels, class_weights: ClassWeights) -> Number:
    """Return the mean of 1 − |A ∩ B| / |A ∪ B| over the classes in the labels. A and B are as in `dice`.

    Rahman and Wang, Optimizing intersection-over-union in deep neural networks for image segmentation, 2016.
    """
    both, either = overlaps(logits, labels)
    return mean_of_present(1 - both / jnp.maximum(either - both, 1), labels)


def pixel_losses(logits: Logits, labels: Labels) -> Float[Array, "batch height width"]:
    """Return the cross-entropy of each pixel. The values of void pixels have no meaning."""
    chosen = jnp.where(are_labels(labels, logits.shape[-1]), logits, 0).sum(-1)
    return jax.nn.logsumexp(logits, axis=-1) - chosen


def pixel_weights(labels: Labels, class_weights: ClassWeights) -> Float[Array, "batch height width"]:
    """Return the weight of each pixel: that of its class. Void has none."""
    return jnp.where(are_labels(labels, len(class_weights)), class_weights, 0).sum(-1)


def mean(total: Number, weight: Number) -> Number:
    """Return total / weight. A batch of void alone has a loss of zero, and no gradients."""
    return total / jnp.maximum(weight, jnp.finfo(weight.dtype).tiny)


def overlaps(logits: Logits, labels: Labels) -> tuple[Float[Array, " class"], Float[Array, " class"]]:
    """Return, for each class, the size of the intersection, and the sum of the two sizes."""
    probabilities = jnp.where((labels != VOID)[..., None], jax.nn.softmax(logits), 0)
    truth = are_labels(labels, logits.shape[-1])
    both = jnp.where(truth, probabilities, 0).sum((0, 1, 2))
    return both, probabilities.sum((0, 1, 2)) + truth.sum((0, 1, 2))


def mean_of_present(losses: Float[Array, " class"], labels: Labels) -> Number:
    """Return the mean over the classes in the labels, or zero if there are none."""
    present = are_labels(labels, len(losses)).any((0, 1, 2))
    return jnp.where(present, losses, 0).sum() / jnp.maximum(present.sum(), 1)


def are_labels(labels: Labels, classes: int) -> Array:
    """Return whether each pixel has each class, bool [batch, height, width, class]."""
    return labels[..., None] == jnp.arange(classes)


LOSSES: dict[LossName, Callable[[Logits, Labels, ClassWeights], Number]] = {
    "cross-entropy": cross_entropy,
    "focal": focal,
    "dice": dice,
    "soft-iou": soft_iou,
}
