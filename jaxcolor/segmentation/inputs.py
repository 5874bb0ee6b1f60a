"""What the part of the network that is trained is given: images, or features that are computed once."""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

import jaxcolor
from jaxcolor.files import cache_folder
from jaxcolor.models.deeplabv3 import Given
from jaxcolor.segmentation.batches import Draw, Split, assemble, group_batches, load_batches
from jaxcolor.segmentation.config import SegmentConfig
from jaxcolor.segmentation.data import Dataset
from jaxcolor.segmentation.features import GB, FeatureCache, make_room
from jaxcolor.segmentation.frozen import RULES
from jaxcolor.segmentation.network import Network
from jaxcolor.segmentation.task import BEHIND, features_of
from jaxcolor.training.batches import epoch_order
from jaxcolor.training.compilation import jit
from jaxcolor.training.progress import Progress
from jaxcolor.training.state import TrainState

Indices = Int[np.ndarray, " _"]


class Inputs:
    """The batches of a run. Frozen features are computed when a split is first asked for."""

    def __init__(self, config: SegmentConfig, data: Dataset, network: Network):
        self.config = config
        self.network = network
        split = partial(Split, resize=config.image_size, seed=config.seed)
        self.splits = {
            "train": split(data.train, training=True, crop=config.crop),
            "validation": split(data.validation, training=False, crop=None),
        }
        self.images = len(data.train)
        self.batch_size = min(config.batch_size, self.images)
        self._caches: dict[str, FeatureCache] | None = None

    def prepare(self, frozen: str) -> None:
        """Decide whether features are kept; `frozen` is the fingerprint of what they come from."""
        config = self.config
        behind = BEHIND[config.train]
        self._caches = {}
        if not config.cache or config.crop or behind == "images":
            return
        root = cache_folder() / "features"
        caches = {}
        for name, split in self.splits.items():
            flips = config.flip and name == "train"
            caches[name] = FeatureCache(
                root / self._cache_key(split, flips, frozen),
                [self.network.feature_shape(size, behind) for size in split.sizes],
                split.label_sizes,
                flips,
                config.cache_dtype,
            )
        folders = [cache.folder for cache in caches.values()]
        problem = make_room(
            root, folders, sum(c.bytes for c in caches.values()), int(config.cache_limit * GB)
        )
        if problem:
            half = "; --cache-dtype float16 takes half" if config.cache_dtype == "float32" else ""
            print(f"{problem}: frozen features are computed again in every epoch{half}", flush=True)
        else:
            self._caches = caches

    @property
    def given(self) -> Given:
        """What the batches hold."""
        assert self._caches is not None, "prepared"
        return BEHIND[self.config.train] if self._caches else "images"

    def steps(self) -> int:
        """Batches an epoch."""
        return len(self._grouped("train", np.arange(self.images)))

    def train_batches(self, state: TrainState, epoch: int) -> Iterator[dict[str, Any]]:
        """All training images once, in an order and with flips that follow from seed and epoch."""
        rng = np.random.default_rng((self.config.seed, epoch, 1))
        flips = rng.random(self.images) < 0.5 if self.config.flip else np.zeros(self.images, bool)
        order = epoch_order(self.images, self.config.seed, epoch, "epoch")
        load = self._loader("train", state, {i: Draw(bool(flip), epoch) for i, flip in enumerate(flips)})
        return load_batches(self._grouped("train", order), load, self.batch_size)

    def validation_batches(self, state: TrainState) -> Iterator[tuple[Indices, dict[str, Any]]]:
        """All validation images in their order, and the indices of each batch."""
        split = self.splits["validation"]
        batches = self._grouped("validation", np.arange(len(split)))

        def more(index: int) -> dict[str, np.ndarray]:
            return split.interpolations(index, self.network.feature_shape(split.sizes[index]))

        load = self._loader("validation", state, {i: Draw(False, 0) for i in range(len(split))})
        return zip(batches, load_batches(batches, load, self.batch_size, more), strict=True)

    def _grouped(self, name: str, order: Indices) -> list[Indices]:
        return group_batches(self.splits[name].groups(), order, self.batch_size)

    def _loader(self, name: str, state: TrainState, draws: dict[int, Draw]) -> Any:
        assert self._caches is not None, "prepared"
        if cache := self._caches.get(name):
            self._fill(name, state, cache)
            return lambda index: cache.item(index, draws[index].flip)
        return lambda index: self.splits[name].item(index, draws[index])

    def _fill(self, name: str, state: TrainState, cache: FeatureCache) -> None:
        """Compute the features that are not there yet."""
        if cache.is_complete():
            return
        split = self.splits[name]
        grouped = self._grouped(name, np.arange(len(split)))
        batches = [(indices, bool(flip)) for flip in range(cache.copies) for indices in grouped]
        compute = jit(partial(features_of, BEHIND[self.config.train]))

        def features(batch: tuple[Indices, bool]) -> tuple[np.ndarray, Sequence[np.ndarray]]:
            indices, flip = batch
            items = [split.item(index, Draw(flip, 0)) for index in indices.tolist()]
            images = assemble(items, self.batch_size)["inputs"]
            return np.asarray(compute(state, images)), [item.labels for item in items]

        print(f"Computing the frozen features of the {name} images: {cache.bytes / GB:.2g} GB", flush=True)
        start = time.perf_counter()
        with Progress(cache.copies * len(split), 0, "features") as progress:
            cache.fill(batches, features, progress.count)
        print(f"Computed in {time.perf_counter() - start:.1f} s", flush=True)

    def _cache_key(self, split: Split, flips: bool, frozen: str) -> str:
        """A hash of all that decides what the features are."""
        config = self.config
        key = {
            "jaxcolor": jaxcolor.__version__,
            "frozen": frozen,
            "network": [config.backbone, config.output_stride, RULES[config.train]],
            "arithmetic": [config.precision, config.cache_dtype, jax.default_backend()],
            "images": [split.examples.fingerprint, split.sizes, split.label_sizes],
            "batches": [flips, self.batch_size],
        }
        return hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]
