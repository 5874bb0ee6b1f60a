import re
from pathlib import Path

import pytest

from jaxcolor.data.classes import VOC_CLASSES, read_classes, voc_colors
from jaxcolor.errors import UserError


def test_the_published_colors() -> None:
    # From VOC's devkit: aeroplane, bicycle, bird, tv/monitor and void.
    assert voc_colors()[[0, 1, 2, 3, 20, 255]].tolist() == [
        [0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 64, 128], [224, 224, 192],
    ]  # fmt: skip
    assert len(VOC_CLASSES) == 21


def read(tmp_path: Path, text: str, encoding: str = "utf-8") -> tuple[tuple[str, ...], tuple]:
    (tmp_path / "classes.txt").write_bytes(text.encode(encoding))
    return read_classes(str(tmp_path / "classes.txt"))


def test_a_number_and_voc() -> None:
    assert read_classes("3") == (("class 0", "class 1", "class 2"), ())
    assert read_classes("voc") == (VOC_CLASSES, ())


@pytest.mark.parametrize(
    "text",
    [
        "sky\nroad\nold car\n",
        "# my classes\r\n\r\nsky\r\nroad\r\nold car",
        "0 sky\n1 road\n2 old car\n",
        "0: sky\n1: road\n2: old car\n",
        '"sky"\n"road"\n"old car"\n',
        "__ignore__\nsky\nroad\nold car\n",
        "index,name\n0,sky\n1,road\n2,old car\n",
        "names:\n  0: sky\n  1: road\n  2: old car\n",
        "name;label\nsky;0\nroad;1\nold car;2\n",
        "sky,\nroad,\nold car\n",
        "0. sky\n1. road\n2. old car\n",
        "0) sky\n1) road\n2) old car\n",
        "sky 0\nroad 1\nold car 2\n",
        "\u200bsky\nroad\ufeff\nold car\n",
        "- sky\n- 'road'\n- old car\n",
        "0 sky\n1 road\n2 old car\n255 void\n",
    ],
)
def test_names(tmp_path: Path, text: str) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert read(tmp_path, text, encoding) == (("sky", "road", "old car"), ())


@pytest.mark.parametrize(
    "names", [("lane 1", "lane 2"), ("lane 1", "lane 2", "car 1"), ("deck 3", "area 51")]
)
def test_names_may_end_in_numbers(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert read(tmp_path, "\n".join(names)) == (names, ())


def test_labelmes_labels(tmp_path: Path) -> None:
    assert read(tmp_path, "__ignore__\n_background_\ncat\n") == (("background", "cat"), ())


COLORS = (((0, 0, 0), 0), ((128, 64, 128), 1), ((64, 0, 128), 2))


@pytest.mark.parametrize(
    "text",
    [
        "sky 0 0 0\nroad 128 64 128\nold car 64 0 128\n",
        "0 0 0 sky\n128 64 128\troad\n64 0 128 old car\n",
        "name,r,g,b\nsky,0,0,0\nroad,128,64,128\nold car,64,0,128\n",
        "Index,Name,R,G,B,\n0,sky,0,0,0,\n1,road,128,64,128,\n2,old car,64,0,128,\n",
        "# label:color_rgb:parts:actions\nsky:0,0,0::\nroad:128,64,128::\nold car:64,0,128::\n",
        "0 0 0 0 sky\n1 128 64 128 road\n2 64 0 128 old car\n",
        "0 0 0 255 sky\n128 64 128 255 road\n64 0 128 255 old car\n",
        "name,id,r,g,b\nsky,0,0,0,0\nroad,1,128,64,128\nold car,2,64,0,128\n",
        "0 sky 0 0 0\n1 road 128 64 128\n2 old car 64 0 128\n",
        "sky #000000\nroad #804080\nold car: #400080\n",
        "# comment\n#000000 sky\n#804080 road\n#400080 old car\n",
        "sky [0, 0, 0]\nroad (128,64,128)\n'old car': rgb(64, 0, 128),\n",
    ],
)
def test_names_with_colors(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == (("sky", "road", "old car"), COLORS)


def test_void_has_a_color_but_is_no_class(tmp_path: Path) -> None:
    names, colors = read(tmp_path, "sky 0 0 0\nVoid 9 9 9\nroad 128 64 128\n")
    assert names == ("sky", "road")
    assert colors == (((0, 0, 0), 0), ((9, 9, 9), 255), ((128, 64, 128), 1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be 2 to 255 classes"),
        ("sky\n", "must be 2 to 255 classes"),
        ("sky\nsky\n", "two classes have the same name"),
        ("sky 0 0 0\nroad 0 0 0\n", "two classes have the same color"),
        ("sky 0 0 0\nroad\n", "the line 'road' has no color"),
        ("sky 0 0 0\nroad 0 0 300\n", "must have values up to 255"),
        ("1: sky\n2: road\n", "the line '1: sky' has the number 1, but its label is 0"),
        ("sky,1\nroad,2\n", "the line 'sky,1' has the number 1, but its label is 0"),
        ("1 0 0 0 sky\n2 9 9 9 road\n", "the line '1 0 0 0 sky' can be read in several ways: write one"),
        ("sky 0 0 0 255\nroad 1 9 9 255\n", "the line 'sky 0 0 0 255' can be read in several ways"),
        ("sky 0 0 0\nlane 2 9 9 9\n", "the line 'lane 2 9 9 9' has other numbers than the first line: put"),
        ("sky\nvoid\n", "the line 'void' is no class: remove it, because label 255 is void, or add colors"),
        ("0 Ignore\n1 sky\n2 road\n", "the line '0 Ignore' is no class"),
        ('sky\nroad\n""\n', "the line '\"\"' is not understood: write one class per line: NAME, NAME R G B"),
        ('["sky", "road"]\n', "is not understood: write one class per line"),
        ('{\n"sky": 0,\n"road": 1\n}\n', "the line '{' is not understood"),
        ("sky,road,car\ncar\n", "the line 'sky,road,car' is not understood"),
        ("sky 0.5 0.5 0.5\nroad 0 0 1.0\n", "the line 'sky 0.5 0.5 0.5' is not understood"),
        ("0 0 0\n1 9 9\n", "the line '0 0 0' is not understood"),
        ("0: sky\nroad\n", "the line '0: sky' is not understood"),
        ("name,b,g,r\nsky,0,0,0\n", "the line 'name,b,g,r' has colors in another order than R G B: write"),
        ("name\nsky\nroad\n", "the line 'name' looks like a heading: remove it"),
        ("class_names\nsky\nroad\n", "the line 'class_names' looks like a heading: remove it"),
        ("sky 1\nroad 2\n", "the line 'sky 1' has the number 1, but its label is 0"),
        ("1. sky\n2. road\n", "the line '1. sky' has the number 1, but its label is 0"),
        ("sky 0x808080\nroad 0x404040\n", "the line 'sky 0x808080' is not understood"),
        ("sky|1|2|3\nroad|4|5|6\n", "the line 'sky|1|2|3' is not understood"),
        ("".join(f"class{i}\n" for i in range(256)), "must be 2 to 255 classes"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        read(tmp_path, text)


def test_quotes_protect_a_name(tmp_path: Path) -> None:
    assert read(tmp_path, '"2 wheels"\n"label: x"\ndriver\'s\n')[0] == ("2 wheels", "label: x", "driver's")
    colored = read(tmp_path, "sky 0 0 0\n'lane 2' 9 9 9\n")
    assert colored == (("sky", "lane 2"), (((0, 0, 0), 0), ((9, 9, 9), 1)))
    assert read(tmp_path, "sky:0,0,0::\nlane 2:9,9,9::\n") == colored
    assert read(tmp_path, "class 0\nclass 1\n")[0] == ("class 0", "class 1")


@pytest.mark.parametrize("given", ["0", "1", "256", "100000000"])
def test_bad_numbers_are_refused(given: str) -> None:
    with pytest.raises(UserError, match=f"--classes {given} must be 2 to 255 classes"):
        read_classes(given)


def test_other_values_are_one_line() -> None:
    with pytest.raises(UserError, match=r"^--classes is empty: give a file with one name per line"):
        read_classes("")
    with pytest.raises(UserError, match=r"^--classes 999999999… must be 2 to 255 classes"):
        read_classes("9" * 5000)
    with pytest.raises(UserError, match=r"cannot read the classes in a\0b: .*null"):
        read_classes("a\0b")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(UserError, match=r"cannot read the classes in none.txt: No such file"):
        read_classes("none.txt")
