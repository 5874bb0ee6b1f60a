"""The progress of a run on the terminal."""

import sys
from types import TracebackType

from tqdm import tqdm


class Progress:
    """A bar with the images per second and the time left, and lines that stay above it.

    The bar appears on terminals only, so a log file holds nothing but lines.
    """

    def __init__(self, total: int, done: int, text: str = ""):
        self._bar = tqdm(
            total=total, initial=done, desc=text, unit=" images", unit_scale=True, disable=None,
            leave=False, smoothing=0.05, dynamic_ncols=True,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {rate_fmt}, {remaining} left",
        )  # fmt: skip

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def advance(self, images: int, text: str | None = None) -> None:
        """Advance by a number of images, and show a new text before the bar."""
        if text is not None:
            self._bar.set_description_str(text, refresh=False)
        self._bar.update(images)

    def line(self, text: str) -> None:
        """Print a line that stays."""
        self._bar.write(text, file=sys.stdout)
        sys.stdout.flush()
