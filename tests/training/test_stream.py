import gc
import threading
import time

import numpy as np
import pytest

from jaxcolor.errors import UserError
from jaxcolor.training import stream as stream_module
from jaxcolor.training.stream import AHEAD, stream


def test_batches_come_in_order() -> None:
    def read(batch: int) -> int:
        time.sleep(0.02 if batch % 3 == 0 else 0)  # so that threads finish out of order
        return 10 * batch

    assert list(stream(range(20), read)) == list(range(0, 200, 10))


def test_only_a_few_are_read_ahead() -> None:
    started = []

    def read(batch: int) -> int:
        started.append(batch)
        return batch

    batches = stream(range(100), read)
    assert next(batches) == 0
    time.sleep(0.3)
    assert len(started) <= 1 + AHEAD + stream_module.THREADS
    assert list(batches) == list(range(1, 100))


def test_threads_read_at_the_same_time() -> None:
    barrier = threading.Barrier(2, timeout=10)
    list(stream(range(4), lambda batch: barrier.wait()))


def test_an_error_comes_where_the_batch_was_due() -> None:
    def read(batch: int) -> int:
        if batch == 3:
            raise UserError("cannot read photo.jpg")
        return batch

    batches = stream(range(10), read)
    assert [next(batches) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(UserError, match=r"cannot read photo.jpg"):
        next(batches)


def test_a_closed_stream_frees_its_batches() -> None:
    alive = [0]

    class Large:
        def __init__(self) -> None:
            self.array = np.zeros(10)
            alive[0] += 1

        def __del__(self) -> None:
            alive[0] -= 1

    batches = stream(range(1000), lambda _: Large())
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    time.sleep(0.2)
    gc.collect()
    assert alive[0] <= AHEAD + stream_module.THREADS
