"""Prepare the next batches while the device computes."""

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


class _End:
    """The last entry of the queue: the error that ended the thread, or None."""

    def __init__(self, error: BaseException | None):
        self.error = error


def prefetch(items: Iterable[Item], ahead: int = 2) -> Iterator[Item]:
    """Yield the same items, which a thread prepares up to `ahead` items before their use.

    An error in the thread is raised here, in place of the item. The thread ends with the iterator.
    """
    made: queue.Queue = queue.Queue(ahead)
    stopped = threading.Event()

    def put(item: object) -> bool:
        while not stopped.is_set():
            try:
                made.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def make() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(_End(None))
        except BaseException as error:
            put(_End(error))

    thread = threading.Thread(target=make, daemon=True, name="prefetch")
    thread.start()
    try:
        while not isinstance(item := made.get(), _End):
            yield item
        if item.error:
            raise item.error
    finally:
        stopped.set()
        thread.join()
