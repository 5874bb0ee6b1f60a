"""Batches of one size each, decoded as they are needed, by threads."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped, UInt8

from jaxcolor.data.examples import VOID, Examples
from jaxcolor.models.deeplabv3 import interpolation
from jaxcolor.segmentation.preprocess import (
    fill_up,
    label_sizes,
    network_sizes,
    random_crop,
    resize_image,
    resize_mask,
)
from jaxcolor.training.prefetch import prefetch

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Item:
    """What the network is given for one image: itself or its features, and its labels."""

    inputs: Shaped[np.ndarray, "_ _ _"]
    labels: UInt8[np.ndarray, "_ _"]


@dataclass(frozen=True)
class Draw:
    """How a training image is varied."""

    flip: bool
    epoch: int


class Split:
    """A split of a data set at the sizes that the network is compiled for.

    For training labels are as large as the network's images; otherwise they keep their own size, filled up
    with void. `crop` makes training images squares of that side, at random.
    """

    def __init__(
        self, examples: Examples, resize: Sequence[int] | None, training: bool, crop: int | None, seed: int
    ):
        self.examples = examples
        self.training = training
        self.crop = crop
        self.seed = seed
        self.sizes = [(crop, crop)] * len(examples) if crop else network_sizes(examples.sizes, resize)
        self.label_sizes = self.sizes if training else label_sizes(examples.sizes)

    def __len__(self) -> int:
        return len(self.examples)

    def item(self, index: int, draw: Draw) -> Item:
        """A image as the network sees it, as bytes, and its labels."""
        _, image, mask = self.examples[index]
        if self.crop:
            rng = np.random.default_rng((self.seed, draw.epoch, index))
            image, mask = random_crop(image, mask, self.crop, rng)
        else:
            image = resize_image(image, self.sizes[index])
            size = self.label_sizes[index]
            mask = resize_mask(mask, size) if self.training else fill_up(mask, size)
        if draw.flip:
            image, mask = image[:, ::-1], mask[:, ::-1]
        return Item(image, mask)

    def groups(self) -> list[Hashable]:
        """For each image what must be alike within a batch."""
        return list(zip(self.sizes, self.label_sizes, strict=True))

    def interpolations(self, index: int, shape: Shape) -> dict[str, np.ndarray]:
        """The matrices from features of a shape to the mask's own size, filled up with zeros."""
        matrices = {}
        for axis, name in enumerate(("rows", "columns")):
            matrix = interpolation(self.examples.sizes[index][axis], shape[axis])
            missing = self.label_sizes[index][axis] - len(matrix)
            matrices[name] = np.pad(matrix, ((0, missing), (0, 0)))
        return matrices


def group_batches(
    groups: Sequence[Hashable], order: Int[np.ndarray, " n"], batch_size: int
) -> list[Int[np.ndarray, " _"]]:
    """An order of images cut into batches of at most that size, each from one group.

    They come in the order of their first images, so that groups mix.
    """
    open_batches: dict[Hashable, list[int]] = {}
    batches: list[list[int]] = []
    for index in order:
        batch = open_batches.get(groups[index])
        if batch is None or len(batch) == batch_size:
            batch = open_batches[groups[index]] = []
            batches.append(batch)
        batch.append(int(index))
    return [np.array(batch) for batch in batches]


def assemble(items: Sequence[Item], batch_size: int) -> dict[str, Any]:
    """`inputs`, `labels` and `mask` of a batch, filled up with void copies of its first image."""
    missing = batch_size - len(items)
    void = Item(items[0].inputs, np.full_like(items[0].labels, VOID))
    items = [*items, *[void] * missing]
    return {
        "inputs": np.stack([item.inputs for item in items]),
        "labels": np.stack([item.labels for item in items]),
        "mask": (np.arange(batch_size) < batch_size - missing).astype(np.float32),
    }


def load_batches(
    batches: Sequence[Int[np.ndarray, " _"]],
    load: Callable[[int], Item],
    batch_size: int,
    more: Callable[[int], dict[str, np.ndarray]] = lambda index: {},
    threads: int = 2,
) -> Iterator[dict[str, Any]]:
    """Batch by batch as arrays, loaded by threads a little ahead; `more` adds arrays to each image's."""

    def make() -> Iterator[dict[str, Any]]:
        with ThreadPoolExecutor(threads) as pool:
            for indices in batches:
                batch = assemble(list(pool.map(load, indices.tolist())), batch_size)
                rows = [more(index) for index in indices.tolist()]
                rows += [rows[0]] * (batch_size - len(rows))
                yield batch | {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    return prefetch(make())
