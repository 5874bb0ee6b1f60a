"""What one sees on the terminal while a run trains."""

import sys
from types import TracebackType

from tqdm import tqdm


class Progress:
    """A bar with the loss, images a second and the time left, and lines that stay above it.

    The bar shows on terminals only, so that a log file holds nothing but lines.
    """

    def __init__(self, total: int, done: int, what: str = ""):
        self._bar = tqdm(
            total=total, initial=done, desc=what, unit=" images", unit_scale=True, disable=None,
            leave=False, smoothing=0.05, dynamic_ncols=True,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {rate_fmt}, {remaining} left",
        )  # fmt: skip

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def advance(self, epoch: int, images: int, loss: float) -> None:
        """Move on by some images, whose mean loss was `loss`."""
        self._bar.set_description_str(f"epoch {epoch}  loss {loss:.4f}", refresh=False)
        self._bar.update(images)

    def count(self, images: int) -> None:
        """Move on by some images that have no loss."""
        self._bar.update(images)

    def line(self, text: str) -> None:
        """Print a line that stays."""
        self._bar.write(text, file=sys.stdout)
        sys.stdout.flush()
