"""Programs that are exported: for any device and any size of images, not for this machine's CPU alone."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import jax

Length = Any  # a number of pixels: an integer, or a symbolic dimension of jax.export
_is_portable = ContextVar("is_portable", default=False)


@contextlib.contextmanager
def portable() -> Iterator[None]:
    """Let layers that are traced in the body of a `with` statement follow their plain definitions.

    These are the same on every device, and hold for sizes that are not known yet (`jax.export`'s symbolic
    dimensions).
    """
    token = _is_portable.set(True)
    try:
        yield
    finally:
        _is_portable.reset(token)


def is_portable() -> bool:
    """Return whether the program that is traced will be exported."""
    return _is_portable.get()


def on_cpu() -> bool:
    """Return whether layers compute in the way that is fast on a CPU."""
    return jax.default_backend() == "cpu" and not is_portable()
