"""What all of Matplotlib's figures share: colors, frames without ornament, and files that are whole."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxcolor.files import write_atomically

# Paul Tol's bright scheme, safe for all eyes.
COLORS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#BBBBBB")


def unadorn(axes: Axes) -> None:
    """A faint grid, and only the two sides of the frame that have numbers."""
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def save_figure(path: Path, figure: Figure) -> None:
    """Write the figure as a PNG file."""
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=110))
