"""Compiled programs that a thread compiles ahead, while the data is read."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any

import jax
from jax.stages import Compiled

from jaxcolor.training.compilation import jit
from jaxcolor.training.timing import WAIT_EVENT

THREADS = 2  # LLVM compiles most of a program on one core


class Program:
    """A function that runs compiled, as `jax.jit` does it, with the fastest options on this device."""

    def __init__(self, function: Callable, **options: Any):
        self.jitted = jit(function, **options)
        self._ahead: Future[Compiled] | None = None
        self._signature: Any = None

    def compile_ahead(self, *arguments: Any) -> None:
        """Start to compile for arguments of these shapes. Leaves are arrays or `jax.ShapeDtypeStruct`."""
        self._signature = signature(arguments)
        self._ahead = background().submit(lambda: self.jitted.lower(*arguments).compile())

    def __call__(self, *arguments: Any) -> Any:
        """Run the program. It is compiled now unless there is one for these shapes."""
        if self._ahead is None or signature(arguments) != self._signature:
            return self.jitted(*arguments)
        if not self._ahead.done():
            start = time.perf_counter()
            self._ahead.exception()  # waits
            jax.monitoring.record_event_duration_secs(WAIT_EVENT, time.perf_counter() - start)
        return self._ahead.result()(*arguments)


def signature(arguments: Any) -> Any:
    """Return the structure, shapes and dtypes of arguments."""
    leaves, structure = jax.tree.flatten(arguments)
    return structure, [(leaf.shape, leaf.dtype) for leaf in leaves]


@cache
def background() -> ThreadPoolExecutor:
    """Return the threads for work that nothing waits for yet."""
    return ThreadPoolExecutor(THREADS, "background")
