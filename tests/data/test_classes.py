from pathlib import Path

import pytest

from jaxcolor.data.classes import VOC_CLASSES, read_classes, voc_colors
from jaxcolor.errors import UserError


def test_the_published_colors() -> None:
    colors = voc_colors()
    assert colors[[0, 1, 2, 15, 20, 255]].tolist() == [
        [0, 0, 0], [128, 0, 0], [0, 128, 0], [192, 128, 128], [0, 64, 128], [224, 224, 192],
    ]  # fmt: skip
    assert len(VOC_CLASSES) == 21


def test_read_classes(tmp_path: Path) -> None:
    assert read_classes("3") == ("class 0", "class 1", "class 2")
    (tmp_path / "names.txt").write_text("sky\nroad\n\n")
    assert read_classes(str(tmp_path / "names.txt")) == ("sky", "road")
    (tmp_path / "twice.txt").write_text("sky\nsky\n")
    for given, message in (
        ("missing.txt", "cannot read missing.txt"), ("1", "2 to 255"), ("256", "2 to 255"),
        (str(tmp_path / "twice.txt"), "the same name"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=message):
            read_classes(given)
