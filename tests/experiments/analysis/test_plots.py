from pathlib import Path

import numpy as np
from analysis.plots import COLORS, draw_lines
from PIL import Image
from sizes import read_size


def colors_in(path: Path) -> set[tuple[int, ...]]:
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    return set(map(tuple, pixels.tolist()))


def rgb(color: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(color[1:]))


def test_a_line_each_in_its_color(tmp_path: Path) -> None:
    path = tmp_path / "lines.png"
    draw_lines(
        path, {"a": [(1, 2), (2, 3)], "b": [(1, 5, 4, 6), (2, 4, 3, 5)]}, "x", "y", log="y", ticks=[1, 2]
    )
    assert {rgb(COLORS[0]), rgb(COLORS[1])} <= colors_in(path)
    assert rgb(COLORS[2]) not in colors_in(path)


def test_panels_stand_side_by_side(tmp_path: Path) -> None:
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    lines = {"a": [(0, 1), (1, 2)]}
    draw_lines(one, lines, "x", "y")
    draw_lines(two, {"left": lines, "right": lines}, "x", "y")
    assert read_size(two)[0] > read_size(one)[0]
    assert read_size(two)[1] == read_size(one)[1]


def test_the_legend_names_the_lines_of_all_panels(tmp_path: Path) -> None:
    path = tmp_path / "panels.png"
    shared = {"a": [(0, 1), (1, 2)]}
    draw_lines(path, {"left": shared | {"b": [(0, 2), (1, 1)]}, "right": shared}, "x", "y")
    with Image.open(path) as image:
        right = image.crop((image.width * 2 // 3, 0, *image.size))
        right.save(tmp_path / "right.png")
    assert {rgb(COLORS[0]), rgb(COLORS[1])} <= colors_in(tmp_path / "right.png")
