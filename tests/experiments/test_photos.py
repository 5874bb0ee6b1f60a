"""The script that shows what the network for photographs does."""

from pathlib import Path

import numpy as np
import photos
import pytest
from PIL import Image

from jaxcolor.painting import Colors, gray_of


def invert_blue(image: np.ndarray, vividness: float = 0.5) -> Colors:
    """A colorizer: the dial goes into the blue channel."""
    gray = gray_of(image) if image.ndim == 3 else image
    colored = gray[..., None].repeat(3, axis=-1)
    colored[..., 2] = round(255 * vividness)
    return colored


def test_each_photograph_is_drawn_before_and_after(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 100, (photos.HEIGHT, 300, 3), np.uint8)
    photos.draw_before_and_after(tmp_path / "photos.png", invert_blue, {"noise": image})
    sheet = np.asarray(Image.open(tmp_path / "photos.png"))
    assert ((sheet == image[0, 0]).all(-1)).any(), "the original is missing"
    assert (sheet[..., 2] == 128).sum() > photos.HEIGHT * 300, "the colored one is missing"


def test_the_dial_is_drawn_at_all_positions(tmp_path: Path) -> None:
    image = np.zeros((photos.HEIGHT, 50, 3), np.uint8)
    photos.draw_dial(tmp_path / "dial.png", invert_blue, {"black": image})
    sheet = np.asarray(Image.open(tmp_path / "dial.png"))
    for dial in photos.DIAL[1:]:
        shown = (sheet == [0, 0, round(255 * dial)]).all(axis=-1)
        assert shown.sum() >= photos.HEIGHT * 50


@pytest.mark.slow
def test_time_and_memory_are_measured() -> None:
    line = photos.in_process(0.05)
    assert line.startswith("0.05 megapixels: ")
    _, first, second, gib = (float(word) for word in line.split() if word.replace(".", "").isdigit())
    assert 0 < second < first
    assert 0.1 < gib < 10
