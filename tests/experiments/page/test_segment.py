from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gradio")

from page.segment import BACKGROUND, areas, how_to_train

from jaxcolor.data.colors import FIRST


def test_areas_are_shares_of_pixels_and_the_largest_comes_first() -> None:
    labels = np.array([[2, 2, 2, 0], [1, 1, 2, 2]], np.uint8)
    found = areas(labels, ("background", "cat", "dog", "bird"))
    assert [area.name for area in found] == ["dog", "cat", "background"]
    assert [area.share for area in found] == [5 / 8, 2 / 8, 1 / 8]
    assert [area.color for area in found] == [FIRST[2], FIRST[1], BACKGROUND]


def test_a_class_that_is_no_background_has_its_color() -> None:
    (area,) = areas(np.zeros((2, 2), np.uint8), ("road", "sky", "tree"))
    assert area == ("road", FIRST[0], 1.0)


def test_the_advice_names_the_folder_of_the_page() -> None:
    assert "segment.py --name shapes --dataset sample\n" in how_to_train(Path("runs"))
    assert "--dataset sample --runs-dir /data/runs\n" in how_to_train(Path("/data/runs"))
