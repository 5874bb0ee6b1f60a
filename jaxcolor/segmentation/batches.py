"""Batches of images of one size, decoded by threads as they are needed."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Int, Shaped, UInt8

from jaxcolor.data.examples import Examples
from jaxcolor.data.label_maps import VOID
from jaxcolor.layers.resize import interpolation
from jaxcolor.segmentation.preprocess import (
    SCALES,
    label_map_sizes,
    network_sizes,
    pad_label_map,
    random_blur,
    random_colors,
    random_crop,
    resize_image,
    resize_label_map,
    resized_sizes,
)
from jaxcolor.training.stream import stream

Shape = tuple[int, ...]
Array = Shaped[np.ndarray, "_ _ _"]


@dataclass(frozen=True)
class Sample:
    """The network's input for one image, the image itself or a tuple of features, and the labels."""

    inputs: Array | tuple[Array, ...]
    labels: UInt8[np.ndarray, "_ _"]


@dataclass(frozen=True)
class Augmentation:
    """How a training image is varied: flipped or not, and cropped at random by (seed, epoch, index)."""

    flip: bool
    epoch: int


NO_AUGMENTATION = Augmentation(flip=False, epoch=0)


class ResizedExamples:
    """A split of a data set at the sizes that the network is compiled for.

    For training the label maps have the size of the network's images. Otherwise they keep their own size,
    padded with void. `crop` is the side of random square crops of training images, or None. `scales`,
    `jitter` and `blur` say how the crops are scaled, relative to the resized image, how strongly their colors
    vary, and how much they are blurred.
    """

    def __init__(
        self,
        examples: Examples,
        resize: Sequence[int] | None,
        training: bool,
        crop: int | None,
        seed: int,
        scales: tuple[float, float] = SCALES,
        jitter: float = 0.0,
        blur: float = 0.0,
    ):
        self.examples = examples
        self.training = training
        self.crop = crop
        self.seed = seed
        self.scales = scales
        self.jitter = jitter
        self.blur = blur
        self.resized = resized_sizes(examples.sizes, resize)
        self.sizes = [(crop, crop)] * len(examples) if crop else network_sizes(examples.sizes, resize)
        self.label_sizes = self.sizes if training else label_map_sizes(examples.sizes)

    def __len__(self) -> int:
        return len(self.examples)

    def sample(self, index: int, augmentation: Augmentation) -> Sample:
        """Return an image as the network sees it, uint8 [height, width, 3], and its labels."""
        _, image, label_map = self.examples[index]
        if self.crop:
            rng = np.random.default_rng((self.seed, augmentation.epoch, index))
            image, label_map = random_crop(image, label_map, self.resized[index], self.crop, rng, self.scales)
            if self.jitter:
                image = random_colors(image, self.jitter, rng)
            if self.blur:
                image = random_blur(image, self.blur, rng)
        else:
            image = resize_image(image, self.sizes[index])
            size = self.label_sizes[index]
            label_map = resize_label_map(label_map, size) if self.training else pad_label_map(label_map, size)
        if augmentation.flip:
            image, label_map = image[:, ::-1], label_map[:, ::-1]
        return Sample(image, label_map)

    def groups(self) -> list[Hashable]:
        """Return, for each image, the sizes that all images of a batch share."""
        return list(zip(self.sizes, self.label_sizes, strict=True))

    def interpolations(self, index: int, shape: Shape) -> dict[str, np.ndarray]:
        """Return the matrices, zero-padded, that interpolate features of a shape to the label map's size."""
        matrices = {}
        for axis, name in enumerate(("rows", "columns")):
            matrix = interpolation(self.examples.sizes[index][axis], shape[axis])
            missing = self.label_sizes[index][axis] - len(matrix)
            matrices[name] = np.pad(matrix, ((0, missing), (0, 0)))
        return matrices


def group_batches(
    groups: Sequence[Hashable], order: Int[np.ndarray, " n"], batch_size: int
) -> list[Int[np.ndarray, " _"]]:
    """Cut an order of images into batches of at most `batch_size` images of one group.

    Batches come in the order of their first images, so groups alternate.
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


def assemble(samples: Sequence[Sample], is_valid: Bool[np.ndarray, " batch"]) -> dict[str, Any]:
    """Return `inputs`, `labels` and `valid` of a batch. Padding, which is not valid, has void labels."""
    labels = np.stack([sample.labels for sample in samples])
    return {
        "inputs": jax.tree.map(lambda *inputs: np.stack(inputs), *[sample.inputs for sample in samples]),
        "labels": np.where(is_valid[:, None, None], labels, np.uint8(VOID)),
        "valid": is_valid.astype(np.float32),
    }


def load_batches(
    batches: Sequence[Int[np.ndarray, " _"]],
    load: Callable[[int], Sample],
    batch_size: int,
    more: Callable[[int], dict[str, np.ndarray]] = lambda index: {},
    rows: slice = slice(None),
) -> Iterator[dict[str, Any]]:
    """Yield batches of arrays, loaded ahead by threads. `more` returns further arrays of an image.

    Batches are padded to `batch_size` with their first image. `rows` are those that this process loads.
    """

    def read(indices: Int[np.ndarray, " _"]) -> dict[str, Any]:
        padded = np.full(batch_size, indices[0])
        padded[: len(indices)] = indices
        chosen = padded[rows].tolist()
        batch = assemble([load(index) for index in chosen], (np.arange(batch_size) < len(indices))[rows])
        further = [more(index) for index in chosen]
        return batch | {name: np.stack([row[name] for row in further]) for name in further[0]}

    return stream(batches, read)
