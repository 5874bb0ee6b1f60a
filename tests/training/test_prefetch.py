import threading
import time
from collections.abc import Iterator

import pytest

from jaxcolor.training.prefetch import prefetch


def test_items_come_in_order() -> None:
    assert list(prefetch(range(20), ahead=3)) == list(range(20))
    assert list(prefetch([])) == []


def test_only_a_few_are_made_ahead() -> None:
    made = []

    def make() -> Iterator[int]:
        for i in range(10):
            made.append(i)
            yield i

    items = prefetch(make(), ahead=2)
    assert next(items) == 0
    time.sleep(0.3)
    assert len(made) <= 4
    assert list(items) == list(range(1, 10))


def test_an_error_comes_where_the_item_was_due() -> None:
    def make() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    items = prefetch(make())
    assert next(items) == 1
    with pytest.raises(ValueError, match="broken"):
        next(items)


def test_the_thread_ends_with_the_iterator() -> None:
    items = prefetch(iter(range(1000)), ahead=1)
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name == "prefetch"]
