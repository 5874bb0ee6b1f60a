from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from jaxcolor.figures import save_figure, unadorn


def test_a_figure_without_ornament_becomes_a_png_file(tmp_path: Path) -> None:
    figure = Figure(figsize=(2, 1))
    axes = figure.subplots()
    unadorn(axes)
    assert not axes.spines["top"].get_visible()
    assert axes.spines["left"].get_visible()
    save_figure(tmp_path / "new" / "figure.png", figure)
    with Image.open(tmp_path / "new" / "figure.png") as image:
        assert (image.format, image.size) == ("PNG", (220, 110))


def test_a_cropped_figure_has_room_for_what_is_outside_of_it(tmp_path: Path) -> None:
    figure = Figure(figsize=(2, 1))
    figure.add_axes((0, 0, 1, 1))
    figure.text(1.5, 0.5, "outside")
    save_figure(tmp_path / "figure.png", figure, crop=True)
    with Image.open(tmp_path / "figure.png") as image:
        assert image.width > 330
