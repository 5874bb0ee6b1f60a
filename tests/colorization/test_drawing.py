from pathlib import Path

import numpy as np
from PIL import Image

from jaxcolor.colorization.drawing import draw_activations


def find(image: np.ndarray, color: list[int]) -> tuple[int, int]:
    """Where a color begins."""
    rows, columns = np.where((image == color).all(axis=-1))
    return int(rows.min()), int(columns.min())


def test_activations_show_every_channel(tmp_path: Path) -> None:
    image = np.full((32, 32, 3), 60, np.uint8)
    image[0, 0] = [255, 0, 254]
    layer = np.zeros((8, 8, 20), np.float32)
    layer[2, 3] = np.arange(1, 21)  # stretched to white in each channel
    draw_activations(tmp_path / "a.png", "title", {"input": image}, {"layer 1": layer})
    image = np.asarray(Image.open(tmp_path / "a.png"))
    _, left = find(image, [255, 0, 254])
    black = (image[:, left:] == 0).all(axis=-1)
    # 20 channels of 64 enlarged pixels, all black but one.
    assert black.sum() == 20 * 63 * 8 * 8


def test_constant_channels_do_not_divide_by_zero(tmp_path: Path) -> None:
    image = np.zeros((8, 8, 1), np.uint8)
    draw_activations(tmp_path / "a.png", "t", {"input": image}, {"layer 1": np.ones((4, 4, 2), np.float32)})
    assert (tmp_path / "a.png").exists()
