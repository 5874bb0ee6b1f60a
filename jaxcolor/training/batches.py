"""Which images each step sees. Everything follows from (seed, epoch), so a resumed run needs no state."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

Shuffle = Literal["once", "epoch"]


class Batches(NamedTuple):
    """The batches of an epoch, all of one size; the last one is filled up with masked images.

    `mask` is 1 for images that count and 0 for padding; None where no batch is padded.
    """

    indices: Int[np.ndarray, "steps batch"]
    mask: Float[np.ndarray, "steps batch"] | None


def make_batches(order: Int[np.ndarray, " n"], batch_size: int) -> Batches:
    """Cut an order of images into batches."""
    batch_size = min(batch_size, len(order))
    steps = -(-len(order) // batch_size)
    padding = steps * batch_size - len(order)
    if not padding:
        return Batches(order.reshape(steps, batch_size).astype(np.int32), None)
    mask = np.ones(steps * batch_size, np.float32)
    mask[len(order) :] = 0
    indices = np.concatenate([order, np.full(padding, order[0])]).astype(np.int32)
    return Batches(indices.reshape(steps, batch_size), mask.reshape(steps, batch_size))


def epoch_order(n: int, seed: int, epoch: int, shuffle: Shuffle) -> Int[np.ndarray, " n"]:
    """The order in which an epoch visits n images: the same each time ("once"), or one of its own."""
    key = (seed, epoch) if shuffle == "epoch" else (seed,)
    return np.random.default_rng(key).permutation(n)
