"""The order of the images. It follows from (seed, epoch), so a resumed run needs no saved loader state."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

Shuffle = Literal["once", "epoch"]


class Batches(NamedTuple):
    """The batches of an epoch as indices, all of one size. Padding is the first image of the order.

    `valid` is 1 for images and 0 for padding, or None if no batch is padded.
    """

    indices: Int[np.ndarray, "steps ..."]
    valid: Float[np.ndarray, "steps ..."] | None

    def after(self, steps: int) -> "Batches":
        """Return the batches after the first ones."""
        return Batches(self.indices[steps:], None if self.valid is None else self.valid[steps:])


def make_batches(order: Int[np.ndarray, " n"], batch_size: int, multiple: int = 1) -> Batches:
    """Cut an order of images into batches of `batch_size`, or of all images if there are fewer.

    Each batch is padded to a `multiple` of rows, and the last one to the size of the others.
    """
    batch_size = min(batch_size, len(order))
    steps = -(-len(order) // batch_size)
    rows = -(-batch_size // multiple) * multiple
    if steps * rows == len(order):
        return Batches(order.reshape(steps, rows).astype(np.int32), None)
    indices = np.full((steps, rows), order[0], np.int32)
    valid = np.zeros((steps, rows), np.float32)
    for step, part in enumerate(np.split(order, range(batch_size, len(order), batch_size))):
        indices[step, : len(part)], valid[step, : len(part)] = part, 1
    return Batches(indices, valid)


def epoch_order(n: int, seed: int, epoch: int, shuffle: Shuffle) -> Int[np.ndarray, " n"]:
    """Return the order of n images in an epoch: the same in every epoch ("once"), or a new one ("epoch")."""
    key = (seed, epoch) if shuffle == "epoch" else (seed,)
    return np.random.default_rng(key).permutation(n)
