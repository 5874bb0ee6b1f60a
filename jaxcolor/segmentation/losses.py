"""Losses of segmentation, and sums of them: cross-entropy, focal, Dice and soft IoU.

A loss is a function of sums over the pixels of a batch. The sums are computed image by image, because the
logits of a whole batch, at the size of its labels, take much memory, and on a CPU much time. The logits of an
image are planes, [class, height, width], because a CPU adds planes faster than neighbors. Its labels [height,
width] are `VOID` for pixels that do not count.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Integer

from jaxcolor.data.label_maps import VOID
from jaxcolor.layers.resize import interpolate_planes, interpolation
from jaxcolor.segmentation.config import LossName
from jaxcolor.training.devices import map_images

FOCUS = 2.0  # of the focal loss: a higher value gives less weight to pixels that are nearly right

Logits = Float[Array, "class height width"]
Labels = Integer[Array, "height width"]
ClassWeights = Float[Array, " class"]
PerPixel = Float[Array, "height width"]
PerClass = Float[Array, " class"]
Counts = Integer[Array, " class"]
Number = Float[Array, ""]
Sums = tuple[Array, ...]
# Takes logits [batch, rows, columns, class] and labels [batch, height, width]. Returns the loss, and the sum
# of the pixels' weights.
BatchLoss = Callable[[Float[Array, "_ _ _ _"], Integer[Array, "_ _ _"]], tuple[Number, Number]]


class Loss(NamedTuple):
    """A loss: sums over the pixels of an image, which add up over a batch, and the loss that they give."""

    sums: Callable[[Logits, Labels, ClassWeights], Sums]
    total: Callable[..., Number]


def make_class_weights(
    kind: str, counts: Int[np.ndarray, " 256"], classes: int
) -> Float[np.ndarray, " classes"]:
    """Return the weight of each class in the loss: 1 ("none") or 1/√frequency ("sqrt").

    `counts` is the number of training pixels per label. The weights are scaled so that their mean over all
    pixels is 1. A class without pixels has the weight 0.
    """
    if kind == "none":
        return np.ones(classes, np.float32)
    frequency = counts[:classes] / counts[:VOID].sum()
    weights = np.where(frequency > 0, 1 / np.sqrt(np.maximum(frequency, 1e-12)), 0)
    return (weights / (frequency * weights).sum()).astype(np.float32)


def make_loss(names: Sequence[LossName], class_weights: ClassWeights, devices: int = 1) -> BatchLoss:
    """Return the sum of the losses with these names, for batches that so many devices share.

    The logits are enlarged to the size of the labels, bilinearly.
    """
    return partial(sum_of_losses, tuple(names), class_weights, devices)


def sum_of_losses(
    names: tuple[LossName, ...],
    class_weights: ClassWeights,
    devices: int,
    logits: Float[Array, "batch rows columns class"],
    labels: Integer[Array, "batch height width"],
) -> tuple[Number, Number]:
    """Return the sum of the losses with these names, and the sum of the pixels' weights."""
    lengths = zip(labels.shape[1:], logits.shape[1:3], strict=True)
    rows, columns = (jnp.asarray(interpolation(new, old)) for new, old in lengths)

    @jax.checkpoint  # the backward pass enlarges the logits again, instead of keeping them
    def sums_of(image: tuple[Float[Array, "rows columns class"], Labels]) -> tuple[list[Sums], Number]:
        small, labels = image
        large = interpolate_planes(small, rows, columns)
        sums = [LOSSES[name].sums(large, labels, class_weights) for name in names]
        return sums, pixel_weights(labels, class_weights).sum()

    of_images = map_images(sums_of, (logits, labels), devices)
    sums, weight = jax.tree.map(lambda values: values.sum(axis=0), of_images)
    losses = (LOSSES[name].total(*of_loss) for name, of_loss in zip(names, sums, strict=True))
    return sum(losses, jnp.zeros(())), weight


def cross_entropy(logits: Logits, labels: Labels, class_weights: ClassWeights) -> Sums:
    """Return the sum of the pixels' weighted −log p, and of their weights. p is that of the pixel's class."""
    weights = pixel_weights(labels, class_weights)
    return (weights * pixel_losses(logits, labels)).sum(), weights.sum()


def focal(logits: Logits, labels: Labels, class_weights: ClassWeights) -> Sums:
    """Return the sum of the weighted −(1 − p)² log p, and of the weights (Lin et al., arXiv:1708.02002)."""
    losses = pixel_losses(logits, labels)
    weights = pixel_weights(labels, class_weights)
    return (weights * (1 - jnp.exp(-losses)) ** FOCUS * losses).sum(), weights.sum()


def overlaps(logits: Logits, labels: Labels, class_weights: ClassWeights) -> Sums:
    """Return, for each class, the sizes |A ∩ B|, |A| and |B|. The weights of the classes are not used.

    A is the set of the pixels of a class. In B, the prediction, each pixel counts with the probability of the
    class.
    """
    probabilities = jnp.where(labels != VOID, jax.nn.softmax(logits, axis=0), 0)
    truth = are_labels(labels, len(logits))
    both = jnp.where(truth, probabilities, 0).sum((1, 2))
    return both, truth.sum((1, 2)), probabilities.sum((1, 2))


def mean(total: Number, weight: Number) -> Number:
    """Return total / weight. A batch of void alone has a loss of zero, and no gradients."""
    return total / jnp.maximum(weight, jnp.finfo(weight.dtype).tiny)


def dice(both: PerClass, true: Counts, predicted: PerClass) -> Number:
    """Return the mean of 1 − 2 |A ∩ B| / (|A| + |B|) over the classes in the labels.

    Milletari et al., arXiv:1606.04797.
    """
    return mean_of_present(1 - 2 * both / jnp.maximum(true + predicted, 1), true)


def soft_iou(both: PerClass, true: Counts, predicted: PerClass) -> Number:
    """Return the mean of 1 − |A ∩ B| / |A ∪ B| over the classes in the labels.

    Rahman and Wang, Optimizing intersection-over-union in deep neural networks for image segmentation, 2016.
    """
    return mean_of_present(1 - both / jnp.maximum(true + predicted - both, 1), true)


def mean_of_present(losses: PerClass, true: Counts) -> Number:
    """Return the mean over the classes in the labels, or zero if there are none."""
    present = true > 0
    return jnp.where(present, losses, 0).sum() / jnp.maximum(present.sum(), 1)


def pixel_losses(logits: Logits, labels: Labels) -> PerPixel:
    """Return the cross-entropy of each pixel. The values of void pixels have no meaning."""
    chosen = jnp.where(are_labels(labels, len(logits)), logits, 0).sum(0)
    return jax.nn.logsumexp(logits, axis=0) - chosen


def pixel_weights(labels: Labels, class_weights: ClassWeights) -> PerPixel:
    """Return the weight of each pixel: that of its class. Void has none."""
    weights = jnp.append(class_weights, 0)
    return weights.at[labels].get(mode="clip")  # that of void is the last


def are_labels(labels: Labels, classes: int) -> Bool[Array, "class height width"]:
    """Return whether each pixel has each class."""
    return labels == jnp.arange(classes)[:, None, None]


LOSSES: dict[LossName, Loss] = {
    "cross-entropy": Loss(cross_entropy, mean),
    "focal": Loss(focal, mean),
    "dice": Loss(overlaps, dice),
    "soft-iou": Loss(overlaps, soft_iou),
}
