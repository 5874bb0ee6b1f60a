from pathlib import Path

import numpy as np
from PIL import Image

from jaxcolor.drawing import ENLARGED, GAP, draw_grid


def blocks(image: np.ndarray, top: int, left: int, factor: int, side: int) -> np.ndarray:
    """The part of a drawing that holds a image, a pixel a block; no block may have two colors."""
    part = image[top : top + side * factor, left : left + side * factor]
    parts = part.reshape(side, factor, side, factor, 3)
    assert (parts == parts[:, :1, :, :1]).all(), "an enlarged pixel is blurred"
    return parts[:, 0, :, 0]


def find(image: np.ndarray, color: list[int]) -> tuple[int, int]:
    """Where a color begins."""
    rows, columns = np.where((image == color).all(axis=-1))
    return int(rows.min()), int(columns.min())


def test_grid_is_sharp_and_in_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 200, (3, 32, 32, 3), np.uint8)
    truth[0, 0, 0] = [255, 0, 254]  # a color that is nowhere else
    gray = rng.integers(0, 200, (3, 32, 32, 1), np.uint8)
    draw_grid(tmp_path / "deep" / "grid.png", "a title", {"gray": gray, "truth": truth})
    image = np.asarray(Image.open(tmp_path / "deep" / "grid.png"))

    factor, step = ENLARGED // 32, ENLARGED + GAP
    top, left = find(image, [255, 0, 254])
    for i in range(3):
        np.testing.assert_array_equal(blocks(image, top, left + i * step, factor, 32), truth[i])
        np.testing.assert_array_equal(
            blocks(image, top - step, left + i * step, factor, 32), np.repeat(gray[i], 3, axis=-1)
        )
    labels = image[top - step : top + ENLARGED, :left]
    assert (labels[:ENLARGED] < 100).any(), "the first row has no label"
    assert (labels[-ENLARGED:] < 100).any(), "the second row has no label"
