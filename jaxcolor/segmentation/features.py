"""Frozen features on disk: computed once, and read again in every epoch.

The features of an image after a frozen part of the network never change. One file holds, image after image,
the features, those of the mirrored image if training flips, and the labels. It is written batch by batch; a
second file counts the complete batches, so a run that was killed continues after the last one.
"""

import json
import math
import mmap
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import ml_dtypes
import numpy as np
from filelock import FileLock
from jaxtyping import Int

from jaxcolor.data.image_files import Size
from jaxcolor.errors import UserError, reason
from jaxcolor.files import write_atomically
from jaxcolor.segmentation.batches import Sample

DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
GB = 1e9
ZEROS = bytes(2**24)
Shape = tuple[int, int, int]
FeatureBatch = tuple[Int[np.ndarray, " _"], bool]  # images of one size, and whether they are flipped


class FeatureCache:
    """The features and labels of a split in one memory-mapped file.

    `shapes` are rows, columns and channels of each image's features, one array or more.
    """

    def __init__(
        self,
        folder: Path,
        shapes: Sequence[Sequence[Shape]],
        label_sizes: Sequence[Size],
        flips: bool,
        dtype: str,
    ):
        self.folder = folder
        self.shapes = shapes
        self.label_sizes = label_sizes
        self.copies = 2 if flips else 1
        self.dtype = np.dtype(DTYPES[dtype])
        sizes = [
            self.copies * self._count(index) * self.dtype.itemsize + math.prod(labels)
            for index, labels in enumerate(label_sizes)
        ]
        self._starts = np.concatenate([[0], np.cumsum(sizes)])

    @property
    def bytes(self) -> int:
        """The size of the file."""
        return int(self._starts[-1])

    def sample(self, index: int, flipped: bool) -> Sample:
        """Return the features and labels of an image, or of the mirrored image."""
        features = tuple(array.copy() for array in self._features(index, flipped))
        labels = self._labels(index).copy()
        self._unload()
        return Sample(features, labels[:, ::-1] if flipped else labels)

    def fill(
        self,
        batches: Sequence[FeatureBatch],
        compute: Callable[[FeatureBatch], tuple[Sequence[np.ndarray], Sequence[np.ndarray]]],
        on_batch: Callable[[int], None],
    ) -> None:
        """Write the missing batches; `compute` returns the arrays of features, and the labels, of a batch.

        `on_batch` receives the number of images per batch. Raises `UserError` if the disk is full.
        """
        with self._locked():
            if self.is_complete():
                return
            self._allocate()
            done = self._batches_done()
            for number, batch in enumerate(batches):
                if number >= done:
                    features, labels = compute(batch)
                    indices, flipped = batch
                    for row, (index, mask) in enumerate(zip(indices.tolist(), labels, strict=True)):
                        for place, values in zip(self._features(index, flipped), features, strict=True):
                            place[:] = values[row].astype(self.dtype)
                        if not flipped:
                            self._labels(index)[:] = mask
                    self._unload()
                    self._note(number + 1, complete=number + 1 == len(batches))
                on_batch(len(batch[0]))

    def reserve(self) -> None:
        """Reserve the space on the disk. Raises `UserError` if the folder cannot be written."""
        with self._locked():
            self._allocate()

    def is_complete(self) -> bool:
        return bool(self._read_note().get("complete"))

    @property
    def _file(self) -> Path:
        return self.folder / "features.bin"

    @property
    def _note_file(self) -> Path:
        return self.folder / "done.json"

    @cached_property
    def _map(self) -> mmap.mmap:
        with open(self._file, "r+b") as file:
            return mmap.mmap(file.fileno(), 0)

    def _count(self, index: int) -> int:
        return sum(map(math.prod, self.shapes[index]))

    def _features(self, index: int, flipped: bool) -> list[np.ndarray]:
        count = self._count(index)
        start = int(self._starts[index]) + flipped * count * self.dtype.itemsize
        numbers = np.frombuffer(self._map, self.dtype, count, start)
        ends = np.cumsum([math.prod(shape) for shape in self.shapes[index]])
        parts = np.split(numbers, ends[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, self.shapes[index], strict=True)]

    def _labels(self, index: int) -> np.ndarray:
        size = self.label_sizes[index]
        count = math.prod(size)
        return np.frombuffer(self._map, np.uint8, count, int(self._starts[index + 1]) - count).reshape(size)

    def _unload(self) -> None:
        """Let the system reuse the memory of the pages that were read or written, where it can be told to."""
        if hasattr(self._map, "madvise"):
            self._map.madvise(mmap.MADV_DONTNEED)

    def _allocate(self) -> None:
        """Reserve the disk space now. A memory-mapped page that finds the disk full would end the process."""
        if self._file.is_file() and self._file.stat().st_size == self.bytes:
            return
        self._note_file.unlink(missing_ok=True)  # of the file before
        self.__dict__.pop("_map", None)  # of a file that another process has deleted to make room
        try:
            with open(self._file, "wb") as file:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, self.bytes)
                else:
                    for start in range(0, self.bytes, len(ZEROS)):
                        file.write(ZEROS[: self.bytes - start])
        except OSError as error:
            self._file.unlink(missing_ok=True)
            raise UserError(f"cannot write features into {self.folder}: {reason(error)}") from error

    def _note(self, batches: int, complete: bool) -> None:
        note = json.dumps({"batches": batches, "complete": complete}).encode()
        write_atomically(self._note_file, lambda file: file.write(note))

    def _read_note(self) -> dict:
        try:
            note = json.loads(self._note_file.read_text())
        except (OSError, ValueError):
            return {}
        return note if self._file.is_file() and self._file.stat().st_size == self.bytes else {}

    def _batches_done(self) -> int:
        return int(self._read_note().get("batches", 0))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process write. Others that need the same features wait for them."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / ".lock")
            lock.acquire()
        except OSError as error:
            raise UserError(f"cannot write features into {self.folder}: {reason(error)}") from error
        try:
            yield
        finally:
            lock.release()


def make_room(root: Path, keep: Sequence[Path], needed: int, limit: int) -> str | None:
    """Delete the oldest features of other runs until `needed` more bytes stay within `limit`.

    Returns None, or the reason why the features do not fit. Then nothing is deleted.
    """
    if needed > limit:
        return f"the features would take {needed / GB:.1f} GB, more than --cache-limit {limit / GB:g}"
    root.mkdir(parents=True, exist_ok=True)
    entries = [entry for entry in root.iterdir() if entry.is_dir()]
    sizes = {entry: sum(file.stat().st_size for file in entry.iterdir()) for entry in entries}
    others = sorted((entry for entry in entries if entry not in keep), key=lambda e: e.stat().st_mtime)
    free = shutil.disk_usage(root).free + sum(sizes[entry] for entry in others)
    missing = needed - sum(sizes[entry] for entry in entries if entry in keep)
    if missing > free:
        return f"the features would take {needed / GB:.1f} GB, and the disk has {free / GB:.1f} GB left"
    for entry in others:
        kept = sum(sizes[other] for other in others if other.exists())
        if kept + needed <= limit and missing <= shutil.disk_usage(root).free:
            break
        shutil.rmtree(entry)
    return None
