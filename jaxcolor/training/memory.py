"""How the process treats freed memory, and what it does without enough. This module does not import JAX."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from jaxcolor.errors import UserError

# Options of glibc's mallopt for a process that allocates the same large arrays again and again.
_KEEP = {
    -8: 1,  # M_ARENA_MAX: one heap for all threads
    -4: 0,  # M_MMAP_MAX: large arrays come from the heap, too
    -1: 2**31 - 1,  # M_TRIM_THRESHOLD: the process keeps freed memory
    -2: 2**26,  # M_TOP_PAD: the heap grows by at least 64 MiB
}
# And for a process whose arrays are so large that a fragmented heap would grow to several times their size.
_RETURN = {
    -4: 2**16,  # M_MMAP_MAX, its default
    -3: 2**25,  # M_MMAP_THRESHOLD: arrays from 32 MiB on, the largest value, come from the system
}


def keep_freed_memory() -> bool:
    """Reuse freed memory instead of returning it to the system. Returns False without the GNU C library.

    A train step on a CPU has some hundred MB of temporary arrays. By default each call returns them to the
    system and takes them again page by page, which is a sixth of its time.
    """
    return _mallopt(_KEEP)


def return_large_arrays() -> bool:
    """Return arrays of 32 MiB and more to the system when they are freed. Returns False without glibc.

    For steps with arrays of some hundred MB: it takes 5 % longer and halves the memory, which would otherwise
    grow with the number of steps.
    """
    return _mallopt(_RETURN)


def _mallopt(options: dict[int, int]) -> bool:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, Windows, musl
        return False
    accepted = [mallopt(option, value) for option, value in options.items()]
    return all(accepted)


@contextmanager
def enough_memory(advice: str) -> Iterator[None]:
    """Raise `UserError` with `advice` if the device or the computer runs out of memory."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(f"too little memory: {advice}") from error


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of Python, NumPy or JAX says that there is too little memory."""
    if isinstance(error, MemoryError):
        return True
    words = ("resource_exhausted", "out of memory", "out_of_memory")
    # JAX raises its JaxRuntimeError, which is one, or a plain one.
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
