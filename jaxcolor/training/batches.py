"""The order of the images. It follows from (seed, epoch), so a resumed run needs no saved loader state."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

Shuffle = Literal["once", "epoch"]


class Batches(NamedTuple):
    """The batches of an epoch as indices, all of one size. The last batch is padded with the first image.

    `valid` is 1 for images and 0 for padding, or None if no batch is padded.
    """

    indices: Int[np.ndarray, "steps ..."]
    valid: Float[np.ndarray, "steps ..."] | None


def make_batches(order: Int[np.ndarray, " n"], batch_size: int) -> Batches:
    """Cut an order of images into batches of `batch_size`, or of all images if there are fewer."""
    batch_size = min(batch_size, len(order))
    steps = -(-len(order) // batch_size)
    padding = steps * batch_size - len(order)
    if not padding:
        return Batches(order.reshape(steps, batch_size).astype(np.int32), None)
    valid = np.ones(steps * batch_size, np.float32)
    valid[len(order) :] = 0
    indices = np.concatenate([order, np.full(padding, order[0])]).astype(np.int32)
    return Batches(indices.reshape(steps, batch_size), valid.reshape(steps, batch_size))


def epoch_order(n: int, seed: int, epoch: int, shuffle: Shuffle) -> Int[np.ndarray, " n"]:
    """Return the order of n images in an epoch: the same in every epoch ("once"), or a new one ("epoch")."""
    key = (seed, epoch) if shuffle == "epoch" else (seed,)
    return np.random.default_rng(key).permutation(n)
