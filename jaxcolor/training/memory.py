"""How the process deals with the memory that it frees."""

import ctypes

# Of glibc's malloc.h, with values for a process that needs the same large arrays again and again.
_MALLOPT = {
    -8: 1,  # M_ARENA_MAX: one heap for all threads
    -4: 0,  # M_MMAP_MAX: large arrays come from the heap, too
    -1: 2**31 - 1,  # M_TRIM_THRESHOLD: what is freed stays with the process
    -2: 2**26,  # M_TOP_PAD: the heap grows by 64 MiB at least
}


def keep_freed_memory() -> bool:
    """Keep freed memory for the next arrays instead of giving it back to the system; False where that
    cannot be had, without the GNU C library.

    A train step on a CPU has some hundred MB of temporary arrays. By default each call gives them back and
    has to take them page by page again, which takes a sixth of its time.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    accepted = [mallopt(option, value) for option, value in _MALLOPT.items()]
    return all(accepted)
