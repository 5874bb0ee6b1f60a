"""The style of Matplotlib figures."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxcolor.files import write_atomically

# Paul Tol's bright scheme, which color-blind people can distinguish.
COLORS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#BBBBBB")


def unadorn(axes: Axes) -> None:
    """Draw a faint grid, and only the left and the lower side of the frame."""
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def save_figure(path: Path, figure: Figure, crop: bool = False) -> None:
    """Write a figure as a PNG file. With `crop` its size is that of all that is drawn, also outside of it."""
    box = "tight" if crop else None
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=110, bbox_inches=box))
