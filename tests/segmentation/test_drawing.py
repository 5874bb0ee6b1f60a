from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from jaxcolor.data.classes import VOC_CLASSES, voc_colors
from jaxcolor.data.colors import separated_colors
from jaxcolor.segmentation.drawing import (
    Panel,
    draw_legend,
    draw_predictions,
    in_colors,
    overlay,
)

ROADS = ["sky", "road", "car"]
SHAPES = ["background", "disc", "star"]
IMAGE = np.full((20, 30, 3), (200, 100, 50), np.uint8)
LABELS = np.repeat(np.repeat([[0, 1, 2]], 20, axis=0), 10, axis=1).astype(np.uint8)


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that are drawn with Pillow, in order."""
    drawn: list[str] = []
    for name in ("text", "multiline_text"):

        def record(self: Any, place: Any, text: str, *rest: Any, **options: Any) -> None:
            drawn.append(text)

        monkeypatch.setattr(ImageDraw.ImageDraw, name, record)
    return drawn


def test_label_maps_have_the_colors_of_their_classes() -> None:
    for classes, colors in ((VOC_CLASSES, voc_colors()), (ROADS, separated_colors())):
        found = np.asarray(in_colors(LABELS, classes))
        np.testing.assert_array_equal(found[0, [5, 15, 25]], colors[:3])


@pytest.mark.parametrize("classes", [VOC_CLASSES, SHAPES, ROADS[:2]])
def test_an_overlay_tints_classes_and_grays_the_background(classes: tuple[str, ...]) -> None:
    image = np.asarray(overlay(IMAGE, LABELS, classes)).astype(int)
    assert image.shape == IMAGE.shape
    # Pillow's gray is 0.299 R + 0.587 G + 0.114 B.
    assert image[0, 5].tolist() == [124, 124, 124]
    # 0.4 of the image and 0.6 of the color of the class.
    color = voc_colors()[1] if classes == VOC_CLASSES else separated_colors()[1]
    np.testing.assert_allclose(image[0, 15], 0.4 * np.array([200, 100, 50]) + 0.6 * color, atol=1)


def test_an_overlay_paints_class_0_where_it_is_no_background() -> None:
    image = np.asarray(overlay(IMAGE, LABELS, ROADS)).astype(int)
    for column, label in ((5, 0), (15, 1), (25, 2)):
        expected = 0.4 * np.array([200, 100, 50]) + 0.6 * separated_colors()[label]
        np.testing.assert_allclose(image[0, column], expected, atol=1)


def test_the_legend_names_all_classes_and_void(tmp_path: Path, texts: list[str]) -> None:
    draw_legend(tmp_path / "roads.png", ROADS)
    assert texts == ["sky", "road", "car", "void (not scored)"]
    draw_legend(tmp_path / "shapes.png", SHAPES)
    assert texts[4:] == ["background (gray in overlays)", "disc", "star", "void (not scored)"]
    draw_legend(tmp_path / "two.png", ROADS[:2])
    assert texts[8:] == ["sky (gray in overlays)", "road", "void (not scored)"]
    with Image.open(tmp_path / "roads.png") as image:
        colors = {color for _, color in image.getcolors(2**16) or []}
    assert {tuple(separated_colors()[label].tolist()) for label in (0, 1, 2, 255)} <= colors


def test_predictions_are_drawn_in_rows_below_their_headings(tmp_path: Path, texts: list[str]) -> None:
    panels = [Panel(f"{i}", IMAGE, LABELS, LABELS[:, ::-1].copy()) for i in range(3)]
    draw_predictions(tmp_path / "three.png", "title", panels, ROADS)
    assert texts == [
        *ROADS, "title", "image", "truth", "prediction", "overlay of the prediction", "0", "1", "2", "classes"
    ]  # fmt: skip
    draw_predictions(tmp_path / "one.png", "title", panels[:1], ROADS)
    with Image.open(tmp_path / "three.png") as three, Image.open(tmp_path / "one.png") as one:
        # An image of 30×20 pixels is drawn with 240×160, and there are 8 pixels between rows.
        assert three.height == one.height + 2 * (160 + 8)
        values = np.asarray(one)
    top, left = (int(places.min()) for places in np.where((values == (200, 100, 50)).all(-1)))
    truth, prediction = (values[top + 80, left + i * 244 :][[40, 120, 200]] for i in (1, 2))
    np.testing.assert_array_equal(truth, separated_colors()[:3])
    np.testing.assert_array_equal(prediction, separated_colors()[2::-1])


def test_a_tall_image_stays_in_its_column(tmp_path: Path) -> None:
    tall = Panel("tall", np.full((5000, 2, 3), 90, np.uint8), *np.zeros((2, 5000, 2), np.uint8))
    draw_predictions(tmp_path / "sheet.png", "title", [tall], ROADS)
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.height < 600
