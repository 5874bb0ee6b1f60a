"""The batches of a run: images, or frozen features that are computed once and cached on disk."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

import jaxcolor
from jaxcolor.errors import UserError, reason
from jaxcolor.files import cache_folder
from jaxcolor.models.segmentation import SegmentationNet, Stage
from jaxcolor.segmentation.batches import (
    NO_AUGMENTATION,
    Augmentation,
    ResizedExamples,
    Sample,
    assemble,
    group_batches,
    load_batches,
)
from jaxcolor.segmentation.config import SegmentConfig
from jaxcolor.segmentation.data import Dataset
from jaxcolor.segmentation.features import GB, FeatureCache, make_room
from jaxcolor.segmentation.model import feature_shapes, logits_size
from jaxcolor.segmentation.task import FROZEN, TRAINABLE, features_after
from jaxcolor.training.batches import epoch_order
from jaxcolor.training.compilation import jit
from jaxcolor.training.devices import Devices
from jaxcolor.training.processes import local
from jaxcolor.training.progress import Progress
from jaxcolor.training.state import TrainState

Indices = Int[np.ndarray, " _"]


class Loader:
    """The batches of a run. Features are computed when a split is first read.

    `fingerprint` identifies the frozen weights, from which the features are computed. Batches are padded to a
    number of rows that divides by that of the `devices`.
    """

    def __init__(
        self,
        config: SegmentConfig,
        data: Dataset,
        model: SegmentationNet,
        fingerprint: str,
        devices: Devices,
    ):
        self.config = config
        self.model = model
        view = partial(ResizedExamples, resize=config.image_size, seed=config.seed)
        self.splits = {
            "train": view(
                data.train,
                training=True,
                crop=config.crop,
                scales=config.scale,
                jitter=config.jitter,
                blur=config.blur,
            ),
            "validation": view(data.validation, training=False, crop=None),
        }
        self.images = len(data.train)
        self.batch_size = min(config.batch_size, self.images)
        self.rows = -(-self.batch_size // devices.count) * devices.count
        self.share = devices.rows(self.rows)
        self._caches = self._make_caches(fingerprint)
        self._features = jit(partial(features_after, FROZEN[config.train]))

    @property
    def after(self) -> Stage:
        """The part of the network after which the inputs of the batches come."""
        return FROZEN[self.config.train] if self._caches else "images"

    def steps(self) -> int:
        """Return the number of batches per epoch."""
        return len(self._grouped("train", np.arange(self.images)))

    def train_batches(self, state: TrainState, epoch: int, start: int = 0) -> Iterator[dict[str, Any]]:
        """Yield all training images once, from batch `start` on. Seed and epoch decide order and flips."""
        rng = np.random.default_rng((self.config.seed, epoch, 1))
        flips = rng.random(self.images) < 0.5 if self.config.flip else np.zeros(self.images, bool)
        order = epoch_order(self.images, self.config.seed, epoch, "epoch")
        load = self._reader("train", state, lambda index: Augmentation(bool(flips[index]), epoch))
        return load_batches(self._grouped("train", order)[start:], load, self.rows, rows=self.share)

    def validation_batches(self, state: TrainState) -> tuple[list[Indices], Iterator[dict[str, Any]]]:
        """Return the indices of each batch, and the batches of all validation images in their order."""
        split = self.splits["validation"]
        batches = self._grouped("validation", np.arange(len(split)))

        def more(index: int) -> dict[str, np.ndarray]:
            return split.interpolations(index, logits_size(self.model, split.sizes[index]))

        load = self._reader("validation", state, lambda index: NO_AUGMENTATION)
        return batches, load_batches(batches, load, self.rows, more, self.share)

    def _make_caches(self, fingerprint: str) -> dict[str, FeatureCache]:
        """Return the cache of each split, or none if features are not cached."""
        config = self.config
        part = FROZEN[config.train]
        if config.crop and part != "images":
            print(
                "Random crops have other features in each epoch: they are computed again, and not cached",
                flush=True,
            )
        if not config.cache or config.crop or part == "images":
            return {}
        root = cache_folder() / "features"
        caches = {}
        for name, split in self.splits.items():
            flips = config.flip and name == "train"
            caches[name] = FeatureCache(
                root / self._cache_key(split, flips, fingerprint),
                [feature_shapes(self.model, size, part) for size in split.sizes],
                split.label_sizes,
                flips,
                config.cache_dtype,
            )
        folders = [cache.folder for cache in caches.values()]
        needed = sum(cache.bytes for cache in caches.values())
        try:
            problem = make_room(root, folders, needed, int(config.cache_limit * GB))
            half = "; --cache-dtype float16 halves them" if config.cache_dtype == "float32" else ""
            if not problem:
                for cache in caches.values():
                    cache.reserve()
        except (OSError, UserError) as error:
            problem, half = f"cannot cache features in {root} ({reason(error)})", ""
        if problem:
            print(f"{problem}: frozen features are computed again in every epoch{half}", flush=True)
            return {}
        return caches

    def _grouped(self, name: str, order: Indices) -> list[Indices]:
        return group_batches(self.splits[name].groups(), order, self.batch_size)

    def _reader(
        self, name: str, state: TrainState, augment: Callable[[int], Augmentation]
    ) -> Callable[[int], Sample]:
        if cache := self._caches.get(name):
            self._fill(name, state, cache)
            return lambda index: cache.sample(index, augment(index).flip)
        return lambda index: self.splits[name].sample(index, augment(index))

    def _fill(self, name: str, state: TrainState, cache: FeatureCache) -> None:
        """Compute the features that the cache lacks."""
        if cache.is_complete():
            return
        split, devices = self.splits[name], Devices(self.config.devices, own=True)
        state = devices.copy(local(state))
        rows = -(-self.batch_size // devices.count) * devices.count
        grouped = self._grouped(name, np.arange(len(split)))
        batches = [(indices, bool(flip)) for flip in range(cache.copies) for indices in grouped]

        def compute(batch: tuple[Indices, bool]) -> tuple[Sequence[np.ndarray], Sequence[np.ndarray]]:
            indices, flip = batch
            samples = [split.sample(index, Augmentation(flip, epoch=0)) for index in indices.tolist()]
            samples += [samples[0]] * (rows - len(samples))
            images = assemble(samples, np.ones(rows, bool))["inputs"]
            features = jax.device_get(self._features(state, devices.divide(images)))
            return features, [sample.labels for sample in samples[: len(indices)]]

        print(f"Computing the frozen features of the {name} images: {cache.bytes / GB:.2g} GB", flush=True)
        start = time.perf_counter()
        with Progress(cache.copies * len(split), 0) as progress:
            cache.fill(batches, compute, lambda images: progress.advance(images, "features"))
        print(f"Computed in {time.perf_counter() - start:.1f} s", flush=True)

    def _cache_key(self, split: ResizedExamples, flips: bool, fingerprint: str) -> str:
        """Return a hash of everything that the features depend on."""
        config = self.config
        key = {
            "jaxcolor": jaxcolor.__version__,
            "frozen": fingerprint,
            "network": [config.backbone, config.head, config.output_stride, TRAINABLE[config.train].pattern],
            "arithmetic": [config.precision, config.cache_dtype, jax.default_backend()],
            "images": [split.examples.fingerprint, split.sizes, split.label_sizes],
            "batches": [flips, self.batch_size],
        }
        return hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]
