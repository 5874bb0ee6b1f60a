import numpy as np
import pytest

from jaxcolor.photo.predictor import FEWEST, MOST, network_size, resize


@pytest.mark.parametrize("size", [(3000, 4000), (1, 1), (32, 32), (100, 100), (500, 9000), (1, 5000)])
def test_the_network_sees_few_pixels_in_about_the_same_proportions(size: tuple[int, int]) -> None:
    rows, columns = network_size(size)
    assert rows % 32 == columns % 32 == 0
    assert FEWEST / 2 <= rows * columns <= 1.3 * MOST
    assert (rows > columns) == (size[0] > size[1]) or rows == columns
    if 1 / 4 < size[0] / size[1] < 4:
        assert 0.8 < (rows / columns) / (size[0] / size[1]) < 1.25


def test_an_image_is_antialiased_when_it_shrinks() -> None:
    gray = np.zeros((64, 64), np.uint8)
    gray[:, ::2] = 200
    assert np.abs(resize(gray, (8, 8)).astype(int) - 100).max() <= 13
