"""Batches that threads read from files while the device computes, with Grain.

Only the batches that are read ahead are in memory, however many images there are.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Batch = TypeVar("Batch")
Arrays = TypeVar("Arrays")

THREADS = 2
AHEAD = 2  # batches


def stream(batches: Sequence[Batch], read: Callable[[Batch], Arrays]) -> Iterator[Arrays]:
    """Yield what `read` returns for each batch, in their order.

    Threads read up to `AHEAD` batches before their use. An error in `read` is raised here, in place of the
    arrays.
    """
    import grain  # takes a second, and prediction does not need it

    source = grain.MapDataset.source(batches).map(read)
    arrays = iter(source.to_iter_dataset(grain.ReadOptions(num_threads=THREADS, prefetch_buffer_size=AHEAD)))
    try:
        yield from arrays
    finally:
        arrays.close()
