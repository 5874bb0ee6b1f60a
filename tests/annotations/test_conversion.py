import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotation_files import HEIGHT, WIDTH, box, coco, labelme, outline, shape, write, write_image
from PIL import Image, ImageDraw

from jaxcolor import cli
from jaxcolor.annotations.config import ConvertConfig
from jaxcolor.annotations.conversion import convert
from jaxcolor.data.classes import read_classes
from jaxcolor.data.examples import Example
from jaxcolor.data.label_maps import LabelFormat
from jaxcolor.data.voc_examples import VocExamples, open_folder
from jaxcolor.errors import UserError
from jaxcolor.segmentation.inspection import inspect

CAT, DOG = outline(3, *box(5, 5, 30, 30)), outline(7, *box(20, 20, 55, 35))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*sources: Path, **options: Any) -> None:
    convert(ConvertConfig(sources, Path("out"), **options))


def written() -> list[Example]:
    """What `jaxcolor segment` reads from the folder."""
    layout = open_folder(Path("out"))
    classes = read_classes("out/classes.txt")
    label_format = LabelFormat(len(classes.names), classes.colors)
    examples = VocExamples(layout, sorted(layout.images), label_format)
    return [examples[index] for index in range(len(examples))]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
def test_a_coco_file_becomes_what_segment_reads(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pycocotools = pytest.importorskip("pycocotools.coco")
    images = [write_image(here / "img" / name, orientation) for name, orientation in (
        ("a.jpg", 1), ("b.png", 1), ("c.jpg", 6))]  # fmt: skip
    rng = np.random.default_rng(0)
    annotations = [
        outline(category, *(rng.random(10) * 40).round(1).tolist(), image_id=image)
        for image, category in ((0, 3), (0, 7), (2, 3))
    ]
    annotations.append({"image_id": 2, "category_id": 7, "iscrowd": 1,
                        "segmentation": {"size": [HEIGHT, WIDTH], "counts": [1800, 500, 100]}})  # fmt: skip
    path = write(here / "a.json", coco(["a.jpg", "b.png", "c.jpg"], annotations))
    run(path, image_dir=(here / "img",))

    reference = pycocotools.COCO(str(path))
    masks = [reference.annToMask(entry) for entry in reference.dataset["annotations"]]
    first = np.zeros((HEIGHT, WIDTH))
    areas = [int(mask.sum()) for mask in masks]
    for place in sorted((0, 1), key=lambda place: -areas[place]):
        first[masks[place] > 0] = place + 1
    assert areas[0] > 0 < areas[1] != areas[0]
    last = np.where(masks[2] > 0, 1, np.where(masks[3] > 0, 255, 0))
    examples = written()
    assert [example.name for example in examples] == ["a", "b", "c"]
    for example, expected in zip(examples, (first, 0 * first, np.rot90(last, -1)), strict=True):
        np.testing.assert_array_equal(example.label_map, expected)
        assert example.image.shape[:2] == expected.shape
    for image in images:
        assert (Path("out/JPEGImages") / image.name).read_bytes() == image.read_bytes()
    assert Path("out/classes.txt").read_text() == "background\ncat\ndog\n"
    assert not Path("out/ImageSets").exists()
    assert sorted(path.name for path in here.iterdir()) == ["a.json", "img", "out"]
    capsys.readouterr()
    inspect(Path("out"), "out/classes.txt")
    assert "no problems" in capsys.readouterr().out


def test_two_coco_files_are_train_and_val(here: Path) -> None:
    paths = []
    for split, names in {"train": ["a.jpg", "b.jpg"], "valid": ["a.jpg"]}.items():
        for name in names:
            write_image(here / split / name)
        paths.append(write(here / split / "x.json", coco(names, [CAT])))
    run(*paths)
    lists = {path.name: path.read_text() for path in Path("out/ImageSets/Segmentation").iterdir()}
    assert lists == {"train.txt": "a\nb\n", "val.txt": "a-2\n"}
    layout = open_folder(Path("out"))
    assert layout.names("train") == ["a", "b"]
    assert layout.names("val") == ["a-2"]
    (here / "out").rename(here / "first")
    run(*paths, image_dir=(here / "train", here / "valid"))
    with pytest.raises(UserError, match="image 0 has the same image as .*train/x.json: image 0: remove one"):
        convert(ConvertConfig(tuple(paths), Path("second"), (here / "train",)))
    write(paths[1], coco(["a.jpg"], [CAT], categories=[{"id": 3, "name": "dog"}]))
    with pytest.raises(UserError, match="train/x.json and .*valid/x.json have other categories"):
        convert(ConvertConfig(tuple(paths), Path("second")))


def test_a_folder_of_labelme_becomes_what_segment_reads(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points = [(2.0, 3.0), (30.5, 4.25), (11.0, 33.75)]
    for name in ("a", "sub/a"):
        write_image(here / f"mine/{name}.jpg")
        shapes = [
            shape("dog", points),
            shape("cat", [[40, 5], [50, 9]], "rectangle"),
            shape("x", [[1, 1]], "point"),
        ]
        write(here / f"mine/{name}.json", labelme("a.jpg", shapes))
    run(here / "mine")
    out, err = capsys.readouterr()
    assert out == (
        "out: 2 images, 3 classes with the background\n"
        "look at them: jaxcolor inspect out --classes out/classes.txt\n"
        "train: jaxcolor segment --voc-dir out --classes out/classes.txt --split 0.2\n"
    )
    assert err.splitlines() == [
        f"warning: {here / 'mine'}: points and lines are left out, because they have no area: 2",
        "warning: images that got another name, because names must differ and fit into lists: 1",
    ]
    polygon = Image.new("1", (WIDTH, HEIGHT))
    ImageDraw.Draw(polygon).polygon(points, outline=1, fill=1)
    expected = 2 * np.array(polygon, int)
    expected[5:10, 40:51] = 1
    examples = written()
    assert [example.name for example in examples] == ["a", "sub_a"]
    for example in examples:
        np.testing.assert_array_equal(example.label_map, expected)
    Path("labels.txt").write_text("__ignore__\n_background_\ndog\ncat\n")
    convert(ConvertConfig((here / "mine",), Path("ordered"), classes="labels.txt"))
    assert Path("ordered/classes.txt").read_text() == "background\ndog\ncat\n"
    assert np.asarray(Image.open("ordered/SegmentationClass/a.png"))[7, 45] == 2


def test_problems_leave_nothing_behind(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_image(here / "a.jpg")
    path = write(here / "a.json", coco(["a.jpg", "b.jpg"], [CAT, outline(9, *box(1, 1, 5, 5))]))
    with pytest.raises(UserError, match="there are problems, listed above: nothing is written"):
        run(path)
    assert capsys.readouterr().out.splitlines() == [
        "2 problems:",
        f"  {path}: annotation 1 has the category 9, which is not in the file: add it",
        f"  {path}: image 1 names the image 'b.jpg', which is not in {here}: copy it there, or give "
        "--image-dir",
    ]
    assert {file.name for file in here.iterdir()} == {"a.jpg", "a.json"}
    with pytest.raises(
        UserError, match="a.json: annotation 0 has the category 9"
    ):  # one problem is the error
        run(write(path, coco(["a.jpg"], [outline(9, *box(1, 1, 5, 5)), CAT])))


def test_long_reports_are_cut(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_image(here / "a.jpg")
    with pytest.raises(UserError):
        run(write(here / "a.json", coco(["a.jpg"], [outline(9, *box(1, 1, 5, 5))] * 70)))
    lines = capsys.readouterr().out.splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("70 problems:", "  … and 20 others", 52)


def test_nothing_is_overwritten(here: Path) -> None:
    write_image(here / "a.jpg")
    path = write(here / "a.json", coco(["a.jpg"], [CAT]))
    for make in (Path.mkdir, Path.touch, lambda out: out.symlink_to("nowhere")):
        make(here / "out")
        with pytest.raises(UserError, match="^out exists: give the name of a new folder, or remove it"):
            run(path)
        (here / "out").rmdir() if make is Path.mkdir else (here / "out").unlink()
    with pytest.raises(UserError, match="exists"):
        convert(ConvertConfig((path,), Path()))
    convert(ConvertConfig((path,), Path("new/deep/out")))
    assert Path("new/deep/out/JPEGImages/a.jpg").is_file()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"source": ()}, "give a COCO file, two for training and validation, or a folder of labelme's files"),
        ({"source": ("a.json", "a.json", "a.json")}, "give a COCO file, two for"),
        ({"source": ("a.json", ".")}, "give a COCO file, two for"),
        ({"source": ("none.json",)}, "none.json does not exist: give the path of the annotations or images"),
        ({"image_dir": ("none",)}, "none does not exist"),
        ({"image_dir": (".", ".")}, "--image-dir takes one folder, or one for each COCO file"),
        ({"classes": "a.txt"}, "--classes is for labelme: leave it out"),
        (
            {"source": ("a.json", "a.json")},
            "image 0 has the same image as a.json: image 0: remove one of them",
        ),
        ({"source": ("many.json",)}, "many.json has 301 classes with the background: masks hold up to 255"),
        (
            {"source": ("none_at_all.json",)},
            "none_at_all.json has no object of a class: there is nothing to learn",
        ),
    ],
)
def test_bad_options_are_one_line(here: Path, options: dict[str, Any], problem: str) -> None:
    write_image(here / "a.jpg")
    write(here / "a.json", coco(["a.jpg"], [CAT]))
    write(
        here / "many.json", coco(["a.jpg"], [], categories=[{"id": i, "name": f"n{i}"} for i in range(300)])
    )
    write(here / "none_at_all.json", coco(["a.jpg"], [CAT | {"iscrowd": 1}]))
    source = tuple(map(Path, options.get("source", ("a.json",))))
    folders = tuple(map(Path, options.get("image_dir", ())))
    with pytest.raises(UserError) as error:
        convert(ConvertConfig(source, Path("out"), folders, options.get("classes")))
    assert problem in str(error.value)
    assert not Path("out").exists()


def test_pycocotools_may_be_missing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    write_image(here / "a.jpg")
    path = write(here / "a.json", coco(["a.jpg"], [CAT, DOG]))
    with pytest.raises(UserError, match="^COCO's polygons need pycocotools: run `pip install pycocotools`$"):
        run(path)


def test_the_command_has_one_line_and_a_status(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_image(here / "a.jpg")
    path = write(here / "a.json", coco(["a.jpg"], [CAT]))
    cli.main(["convert", str(path), "--out", "out"])
    assert capsys.readouterr().out.startswith("out: 1 image, 3 classes with the background\n")
    path.write_text(json.dumps(coco(["a.jpg"], [CAT]))[:-9])
    with pytest.raises(SystemExit) as stopped:
        cli.main(["convert", str(path), "--out", "new"])
    assert stopped.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {path} is not JSON, or not complete (")
    with pytest.raises(SystemExit) as stopped:
        cli.main(["convert", str(path), "--out="])
    assert stopped.value.code == 1
    assert capsys.readouterr().err == "error: --out is empty: give a value, or leave it out\n"
