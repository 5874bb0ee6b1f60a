from pathlib import Path

import pytest

from jaxcolor.annotations.class_names import classes_file, label_of
from jaxcolor.data.classes import read_classes
from jaxcolor.errors import UserError


@pytest.mark.parametrize(
    "names",
    [
        ["cat", "dog"], ["lane 1", "lane 2"], ["lane 0", "road 1"], ["a, b", "cat"], ["name", "cat"],
        ["0", "1"], ["#808080 sky", "#1", "cat: 3"], ["traffic light", "tv/monitor"], ["- cat", "- dog"],
        ["a 1 2 3", "b 4 5 6"], ["Bär", "犬", "🐕"], ['"cat"', "'dog'"], ["rgb(1, 2, 3)", "cat"],
        ["names:", "classes"], ["x,", "y;"],
    ],
)  # fmt: skip
def test_the_file_is_read_as_its_names(tmp_path: Path, names: list[str]) -> None:
    (tmp_path / "classes.txt").write_bytes(classes_file(["background", *names], "a.json"))
    assert read_classes(str(tmp_path / "classes.txt")) == (("background", *names), ())
    (tmp_path / "classes.txt").write_bytes(classes_file(names, "a.json"))
    assert read_classes(str(tmp_path / "classes.txt")).names == tuple(names)


def test_plain_names_have_no_quotes() -> None:
    assert classes_file(["background", "traffic light"], "a.json") == b"background\ntraffic light\n"


@pytest.mark.parametrize("name", ["a\nb", "a\0", "\ud800", "a\u2028b", "a:1,2,3:b"])
def test_names_that_cannot_be_written_are_one_line(name: str) -> None:
    with pytest.raises(UserError, match="^a.json: the class '.*' cannot be written .*: rename it$"):
        classes_file(["background", name], "a.json")


def test_there_are_2_to_255_classes() -> None:
    assert len(classes_file([f"{i}" for i in range(255)], "a.json").splitlines()) == 255
    with pytest.raises(UserError, match="a.json has no class but the background: annotate objects first"):
        classes_file(["background"], "a.json")
    with pytest.raises(UserError, match="a.json has 256 classes with the background: masks hold up to 255"):
        classes_file([f"{i}" for i in range(256)], "a.json")


def test_void_and_the_background_have_several_names() -> None:
    for name, label in {
        "background": 0,
        "_background_": 0,
        "__Background__": 0,
        "cat": None,
        "backgrounds": None,
    }.items():
        assert label_of(name) == label
    assert [label_of(name) for name in ("__ignore__", "ignore", "Void")] == [255, 255, 255]
