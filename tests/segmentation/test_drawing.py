from pathlib import Path

import numpy as np
from PIL import Image

from jaxcolor.segmentation.drawing import (
    Panel,
    draw_confusion,
    draw_predictions,
    in_colors,
    overlay,
    overlay_with_legend,
)

CLASSES = ["background", "cat", "dog"]
IMAGE = np.full((20, 30, 3), (200, 100, 50), np.uint8)
LABELS = np.repeat(np.repeat([[0, 1, 2]], 20, axis=0), 10, axis=1).astype(np.uint8)


def test_label_maps_have_the_colors_of_voc() -> None:
    assert in_colors(LABELS).getpixel((15, 0)) == (128, 0, 0)
    assert in_colors(LABELS).getpixel((25, 0)) == (0, 128, 0)


def test_an_overlay_tints_classes_and_grays_the_background() -> None:
    image = np.asarray(overlay(IMAGE, LABELS)).astype(int)
    assert len(set(image[0, 0])) == 1
    # 0.4 of the image and 0.6 of the color of the class.
    np.testing.assert_allclose(
        image[0, 15], 0.4 * np.array([200, 100, 50]) + 0.6 * np.array([128, 0, 0]), atol=1
    )
    legend = overlay_with_legend(IMAGE, LABELS, CLASSES)
    assert legend.height > 20
    assert legend.width >= 30


def test_predictions_are_drawn_in_rows(tmp_path: Path) -> None:
    panels = [Panel(f"{i}", IMAGE, LABELS, LABELS[:, ::-1].copy()) for i in range(3)]
    draw_predictions(tmp_path / "three.png", "title", panels, CLASSES)
    draw_predictions(tmp_path / "one.png", "title", panels[:1], CLASSES)
    with Image.open(tmp_path / "three.png") as three, Image.open(tmp_path / "one.png") as one:
        assert three.height > one.height + 2 * 160
        colors = {color for _, color in three.getcolors(2**16) or []}
        assert {(128, 0, 0), (0, 128, 0), (200, 100, 50)} <= colors


def test_a_confusion_matrix_is_drawn_even_without_a_class(tmp_path: Path) -> None:
    draw_confusion(tmp_path / "c.png", np.array([[3.0, 1, 0], [2, 4, 0], [0, 0, 0]]), CLASSES)
    with Image.open(tmp_path / "c.png") as image:
        assert image.width > 200
