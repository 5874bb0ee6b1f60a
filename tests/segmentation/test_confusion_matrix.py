from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from jaxcolor.segmentation.confusion_matrix import NUMBERED, draw_confusion

ROADS = ["sky", "road", "car"]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved."""
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    return drawn


def confusion_texts(axes: Axes) -> dict[tuple[float, float], str]:
    """The texts in the cells, by row and column."""
    return {text.get_position()[::-1]: text.get_text() for text in axes.texts}


def test_a_confusion_matrix_shows_zeros_on_its_diagonal_and_classes_without_pixels(
    tmp_path: Path, figures: list[Figure]
) -> None:
    confusion = np.array([[300.0, 100, 0], [599, 0, 1], [0, 0, 0]])
    draw_confusion(tmp_path / "c.png", "a title", confusion, ROADS)
    axes = figures[0].axes[0]
    assert axes.get_title() == "a title"
    assert confusion_texts(axes) == {(0, 0): "75", (0, 1): "25", (1, 0): "100", (1, 1): "0", (2, 2): "—"}
    (hatched,) = axes.patches
    assert isinstance(hatched, Rectangle)
    assert hatched.get_hatch()
    assert (hatched.get_xy(), hatched.get_width(), hatched.get_height()) == ((-0.5, 1.5), 3, 1)
    assert "hatched" in axes.get_ylabel()
    assert [label.get_text() for label in axes.get_xticklabels()] == ROADS
    draw_confusion(tmp_path / "c.png", "a title", np.eye(3), ROADS)
    assert not figures[1].axes[0].patches
    assert "hatched" not in figures[1].axes[0].get_ylabel()


@pytest.mark.parametrize("count", [30, 255])
def test_confusion_matrices_are_large_enough_for_their_names(tmp_path: Path, count: int) -> None:
    draw_confusion(tmp_path / "c.png", "title", np.eye(count), [f"class {i}" for i in range(count)])
    with Image.open(tmp_path / "c.png") as image:
        # A number of two digits is about 12 pixels wide, a name at least 9 pixels high.
        assert image.width / count > (38 if count <= NUMBERED else 13)
        assert image.width < 5000
