"""What a benchmark is at, since compiling and whole runs take minutes."""

from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm


@contextmanager
def status(text: str) -> Iterator[None]:
    """Show a line on the terminal, if there is one, until what it speaks of is done."""
    with tqdm(desc=text, bar_format="{desc}", disable=None, leave=False, dynamic_ncols=True):
        yield
