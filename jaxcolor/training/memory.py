"""How the process deals with the memory that it frees."""

import ctypes

# Of glibc's malloc.h, with values for a process that needs the same large arrays again and again.
_KEEP = {
    -8: 1,  # M_ARENA_MAX: one heap for all threads
    -4: 0,  # M_MMAP_MAX: large arrays come from the heap, too
    -1: 2**31 - 1,  # M_TRIM_THRESHOLD: what is freed stays with the process
    -2: 2**26,  # M_TOP_PAD: the heap grows by 64 MiB at least
}
# And for one whose arrays are so large that a heap with holes would grow to several times what is needed.
_GIVE_BACK = {
    -4: 2**16,  # M_MMAP_MAX, its default
    -3: 2**25,  # M_MMAP_THRESHOLD: arrays of 32 MiB, the most that it takes, come from the system
}


def keep_freed_memory() -> bool:
    """Keep freed memory for the next arrays instead of giving it back to the system; False where that
    cannot be had, without the GNU C library.

    A train step on a CPU has some hundred MB of temporary arrays. By default each call gives them back and
    has to take them page by page again, which takes a sixth of its time.
    """
    return _set(_KEEP)


def give_back_large_arrays() -> bool:
    """Take arrays of 32 MiB and more from the system, each by itself, and give them back when they are freed;
    False without the GNU C library.

    For steps with arrays of some hundred MB: it costs them a twentieth of their time, and saves half of the
    memory, which would grow with the number of steps.
    """
    return _set(_GIVE_BACK)


def _set(options: dict[int, int]) -> bool:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    accepted = [mallopt(option, value) for option, value in options.items()]
    return all(accepted)
