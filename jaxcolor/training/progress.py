"""The progress of a run on the terminal, or in a notebook."""

import sys
import threading
import time
import warnings
from types import TracebackType
from typing import ClassVar

with warnings.catch_warnings():
    # Without ipywidgets a notebook shows the bar of a terminal; tqdm advises to install them.
    warnings.filterwarnings("ignore", "IProgress not found")
    from tqdm.auto import tqdm

BAR = "{desc} {percentage:3.0f}%|{bar}| {rate_fmt}, {remaining} left"
WAITING = "{desc} … {elapsed_s:.0f} s"
SECONDS_PER_REFRESH = 0.5


class Progress:
    """A bar with the images per second and the time left, and lines that stay above it.

    Before the first images it shows what it waits for, and the seconds since then. The bar appears on
    terminals and in notebooks only, so a log file holds nothing but lines.
    """

    hidden: ClassVar[bool] = False  # in a process that does not print

    def __init__(self, total: int, done: int, text: str = "compiling"):
        hidden = self.hidden or (False if in_notebook() else None)  # None: unless on a terminal
        self._bar = tqdm(
            total=total, initial=done, desc=text, unit=" images", unit_scale=True, leave=False,
            disable=hidden, smoothing=0.05, dynamic_ncols=True, bar_format=WAITING,
        )  # fmt: skip
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._clock = threading.Thread(target=self._refresh, daemon=True, name="progress")
        if not self._bar.disable:
            self._clock.start()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        if not self._bar.disable:
            self._clock.join()
        self._bar.close()

    def wait(self, text: str) -> None:
        """Show what the next images wait for, and the seconds from now on."""
        if self._bar.disable:
            return
        with self._lock:
            self._bar.set_description_str(text, refresh=False)
            self._bar.bar_format = WAITING
            self._bar.start_t = time.time()
            self._bar.refresh()

    def advance(self, images: int, text: str | None = None) -> None:
        """Advance by a number of images, and show a new text before the bar."""
        if self._bar.disable:
            return
        with self._lock:
            if text is not None:
                self._bar.set_description_str(text, refresh=False)
            if self._bar.bar_format == BAR:
                self._bar.update(images)
                return
            # The first images took the time to compile: the rate counts those after them.
            self._bar.bar_format = BAR
            self._bar.n += images
            self._bar.initial = self._bar.last_print_n = self._bar.n
            self._bar.start_t = self._bar.last_print_t = time.time()
            self._bar.refresh()

    def line(self, text: str) -> None:
        """Print a line that stays."""
        self._bar.write(text, file=sys.stdout)
        sys.stdout.flush()

    def _refresh(self) -> None:
        """Count the seconds while the main thread waits."""
        while not self._closed.wait(SECONDS_PER_REFRESH):
            with self._lock:
                if self._bar.bar_format == WAITING:
                    self._bar.refresh()


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook, whose output is no terminal."""
    return "ipykernel.zmqshell" in sys.modules
