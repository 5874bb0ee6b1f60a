import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotation_files import HEIGHT, WIDTH, box, coco, outline, write, write_image
from PIL import Image, ImageOps

from jaxcolor.annotations.coco import CocoFile
from jaxcolor.annotations.problems import Problems
from jaxcolor.annotations.run_lengths import decode_counts, to_mask
from jaxcolor.errors import UserError

mask = pytest.importorskip("pycocotools.mask")
from pycocotools.coco import COCO


def encode(pixels: np.ndarray) -> dict[str, Any]:
    """A compressed RLE, as JSON holds it."""
    rle = mask.encode(np.asfortranarray(pixels))
    return {"size": list(rle["size"]), "counts": rle["counts"].decode()}


def read(tmp_path: Path, *annotations: dict[str, Any], **changes: Any) -> np.ndarray:
    """The label map of the only image."""
    write_image(tmp_path / "a.jpg")
    problems = Problems()
    labels = CocoFile(
        write(tmp_path / "a.json", coco(["a.jpg"], list(annotations), **changes)), None, problems
    )[0]
    assert problems == []
    return labels.label_map


def problems_of(path: Path) -> list[str]:
    """The problems of a COCO file and its images."""
    problems = Problems()
    with problems.noting():
        file = CocoFile(path, None, problems)
        for index in range(len(file)):
            with problems.noting():
                file[index]
    return problems


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
def test_objects_are_the_pixels_of_pycocotools(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    blob = (rng.random((HEIGHT, WIDTH)) < 0.3).astype(np.uint8)
    points = (rng.random((5, 2)) * [WIDTH, HEIGHT]).round(2)
    segmentations: list[Any] = [
        [points.ravel().tolist(), [3.5, 2.25, 20.0, 4.75, 9.1, 30.9]],
        encode(blob),
        {"size": [HEIGHT, WIDTH], "counts": [100, 900, 7, 1393]},
    ]
    for place, segmentation in enumerate(segmentations):
        labels = read(tmp_path, outline(7, segmentation=segmentation))
        (annotation,) = COCO(str(tmp_path / "a.json")).dataset["annotations"]
        expected = COCO(str(tmp_path / "a.json")).annToMask(annotation)
        assert 0 < expected.sum() < expected.size, place
        np.testing.assert_array_equal(labels, 2 * expected)
    capsys.readouterr()


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99, 1])
def test_compressed_run_lengths_are_those_of_pycocotools(share: float) -> None:
    pixels = (np.random.default_rng(1).random((37, 301)) < share).astype(np.uint8)
    runs = decode_counts(encode(pixels)["counts"].encode())
    assert runs is not None
    np.testing.assert_array_equal(to_mask(np.array(runs), (37, 301)), pixels)


def test_smaller_objects_are_on_top_and_crowds_below(tmp_path: Path) -> None:
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[:12, :12] = 1
    crowd = outline(3, iscrowd=1, segmentation=encode(pixels))
    labels = read(
        tmp_path, outline(3, *box(10, 10, 14, 14)), outline(7, *box(5, 5, 30, 30)),
        outline(3, *box(40, 5, 50, 15)), outline(7, *box(40, 5, 50, 15)), crowd,
    )  # fmt: skip
    expected = np.where(pixels, 255, 0)
    expected[5:30, 5:30] = 2
    expected[10:14, 10:14] = 1
    expected[5:15, 40:50] = 2  # of equal objects the later one
    np.testing.assert_array_equal(labels, expected)


def test_classes_follow_the_ids_after_the_background(tmp_path: Path) -> None:
    names = {9: "ape ", 2: "_background_", 4: "zebra", 0: "void", -1: "owl"}
    path = write(
        tmp_path / "a.json", coco(["a"], [], categories=[{"id": i, "name": n} for i, n in names.items()])
    )
    assert CocoFile(path, None, Problems()).classes == ("background", "owl", "zebra", "ape")
    categories = [{"id": i, "name": n} for i, n in names.items()]
    labels = read(
        tmp_path, *(outline(i, *box(i + 1, 0, i + 2, 1)) for i in names), outline(4, *box(0, 2, 60, 9)),
        outline(2, *box(5, 5, 6, 6)), categories=categories,
    )  # fmt: skip
    assert labels[0, :12].tolist() == [1, 255, 0, 0, 0, 2, 0, 0, 0, 0, 3, 0]
    assert labels[5, 4:7].tolist() == [2, 0, 2]  # the background cuts a hole


def test_an_image_without_annotations_is_background(tmp_path: Path) -> None:
    assert not read(tmp_path).any()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_are_upright_however_the_image_was_annotated(tmp_path: Path, orientation: int) -> None:
    path = write_image(tmp_path / "a.jpg", orientation)
    with Image.open(path) as image:
        stored = np.zeros((HEIGHT, WIDTH), np.uint8)
        stored[5:20, 10:17] = 2
        with_exif = Image.fromarray(stored)
        with_exif.getexif()[0x0112] = orientation
        upright = np.asarray(ImageOps.exif_transpose(with_exif))
        sizes = {image.size, ImageOps.exif_transpose(image).size}
    for pixels in (stored, upright):
        height, width = pixels.shape
        entry = {"id": 0, "file_name": "a.jpg", "height": height, "width": width}
        annotation = outline(7, segmentation=encode((pixels > 0).astype(np.uint8)))
        problems = Problems()
        file = CocoFile(write(tmp_path / "a.json", coco([], [annotation], images=[entry])), None, problems)
        labels = file[0].label_map
        assert problems == []
        if orientation in (2, 3, 4):  # the sizes are equal: annotated upright
            np.testing.assert_array_equal(labels, pixels)
            assert file.warnings() == [
                f"{file.path}: images that EXIF turns, and that count as annotated upright: 1"
            ]
        else:
            np.testing.assert_array_equal(labels, upright)
            assert file.warnings() == []
    assert sizes == {(60, 40)} if orientation < 5 else {(60, 40), (40, 60)}


def test_images_are_found_below_other_folders(tmp_path: Path) -> None:
    image = write_image(tmp_path / "images" / "a.jpg")
    for name in ("a.jpg", "images/a.jpg", "images\\a.jpg", "C:\\data\\a.jpg", "/data/a.jpg", str(image)):
        path = write(tmp_path / "a.json", coco([name], []))
        assert CocoFile(path, tmp_path / "images", Problems())[0].file == image
    assert CocoFile(write(tmp_path / "a.json", coco(["images/a.jpg"], [])), None, Problems())[0].file == image


@pytest.mark.parametrize(
    ("annotation", "problem"),
    [
        (
            outline(7, 1, 1, 5, 5),
            "annotation 0 has a polygon of 4 numbers: it must be x and y of three points",
        ),
        (outline(7, 1, 1, 5, 5, 3, 9, 2), "has a polygon of 7 numbers"),
        (outline(7, segmentation=[1, 1, 5, 5, 3, 9]), "has a polygon of 1: it must"),
        (outline(5, *box(1, 1, 5, 5)), "has the category 5, which is not in the file: add it"),
        (
            outline(7, -9, 1, 5, 5, 3, 9),
            "has the point (-9, 1) outside of its image, which has width×height 60×40",
        ),
        (outline(7, 1, 1, 5, 50, 3, 9), "has the point (5, 50) outside of its image"),
        (outline(7, 1, 1, 5, float("nan"), 3, 9), "has the point (5, nan) outside of its image"),
        (outline(7, 1, 1, 5, float("inf"), 3, 9), "has the point (5, inf) outside of its image"),
        (outline(7, 1, 1, 5, 10**400, 3, 9), "has the point (5, 1000000"),
        (outline(7, 1, 1, 5, "9", 3, 9), "has the point (5, '9'): it must be two numbers, x and y"),
        (outline(7, 1, 1, 5, True, 3, 9), "has the point (5, True): it must be two numbers, x and y"),
        (outline(7, segmentation=[]), "annotation 0 has no outline: draw it, or remove the annotation"),
        (outline(7, segmentation=None), "has no outline"),
        (
            outline(7, segmentation={"size": [40, 61], "counts": [2440]}),
            "has the size [40, 61], but its image [40",
        ),
        (
            outline(7, segmentation={"size": [40, 60], "counts": [2000]}),
            "has broken run lengths, which do not",
        ),
        (outline(7, segmentation={"size": [40, 60], "counts": [2410, -10]}), "has broken run lengths"),
        (outline(7, segmentation={"size": [40, 60], "counts": ["a"]}), "has broken run lengths"),
        (outline(7, segmentation={"size": [40, 60], "counts": "oooo"}), "has broken run lengths"),
        (outline(7, segmentation={"size": [40, 60], "counts": "\ud800é"}), "has broken run lengths"),
        (outline(7, segmentation={"size": [40, 60], "counts": ""}), "has broken run lengths"),
        (outline(7, segmentation={"size": [40, 60]}), "has broken run lengths"),
        (
            outline(7, *box(1, 1, 5, 5), image_id=4),
            "annotation number 1 is of image 4, which is not in the file",
        ),
        (outline(7, *box(1, 1, 5, 5), image_id=[4]), "annotation number 1 has no image_id"),
        (outline(7, *box(1, 1, 5, 5), id=None), "annotation number 1 has no id"),
        (outline("cat", *box(1, 1, 5, 5)), "has the category_id 'cat': it must be a whole number"),  # type: ignore[arg-type]
    ],
)
def test_a_bad_annotation_is_one_line(tmp_path: Path, annotation: dict[str, Any], problem: str) -> None:
    write_image(tmp_path / "a.jpg")
    path = write(tmp_path / "a.json", coco(["a.jpg"], [annotation]))
    (line,) = problems_of(path)
    assert line.startswith(f"{path}: annotation")
    assert problem in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "cat"}]},
            "has two categories with the name 'cat'",
        ),
        (
            {"categories": [{"id": 1, "name": "cat"}, {"id": 1, "name": "dog"}]},
            "two categories with the id 1",
        ),
        ({"categories": [{"id": 1}]}, "category number 1 has no name: add it"),
        ({"categories": ["cat"]}, "category number 1 is 'cat': export the file again"),
        ({"categories": None}, "has no list of categories: export it again"),
        ({"images": {}}, "has no list of images: export it again"),
        ({"images": []}, "has no images: export it again"),
        (
            {"images": [{"id": 1, "file_name": "a.jpg"}]},
            "image 1 has the height None: it must be a whole number",
        ),
        ({"images": [{"id": 1, "height": 40, "width": 60}]}, "image 1 has no file_name: add it"),
        ({"images": [{"id": 1, "file_name": "a.jpg", "height": 40.5, "width": 60}]}, "has the height 40.5"),
        (
            {"images": [{"id": 1, "file_name": "a.jpg", "height": 50, "width": 60}]},
            "with height×width 50×60, but",
        ),
        (
            {"images": [{"id": 1, "file_name": "q.jpg", "height": 40, "width": 60}]},
            "names the image 'q.jpg', which is",
        ),
        (
            {"images": [{"id": 1, "file_name": "a.json", "height": 40, "width": 60}]},
            "a.json is broken, or not an im",
        ),
        (
            {"annotations": [{"caption": "a cat"}]},
            "has no outlines of objects: give COCO's file of instances",
        ),
        ({"annotations": [{"segments_info": []}]}, "has no outlines of objects"),
        ({"shapes": []}, "is a file of labelme: give its folder"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    write_image(tmp_path / "a.jpg")
    path = write(tmp_path / "a.json", coco(["a.jpg"], []) | changes)
    (line,) = problems_of(path)
    assert line.startswith(str(path))
    assert problem in line


def test_images_need_ids_of_their_own(tmp_path: Path) -> None:
    write_image(tmp_path / "a.jpg")
    data = coco(["a.jpg", "a.jpg"], [])
    data["images"][1]["id"] = 0
    assert "has two images with the id 0: remove one" in problems_of(write(tmp_path / "a.json", data))[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"), (" \n", "is empty"), ("[1]", "holds no annotations"), ("PK\x03\x04", "is not JSON"),
        ('{"images": [', "is not JSON, or not complete"), ("[" * 100_000, "is not JSON, or not complete"),
        ('{"images": ' + "9" * 5000 + "}", "is not JSON"), ("\xff\xfe", "is not JSON"),
    ],
)  # fmt: skip
def test_what_is_not_json_is_one_line(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "a.json").write_text(text, "latin-1")
    with pytest.raises(UserError, match=f"^{re.escape(str(tmp_path))}/a.json {problem}.*: (export|give)"):
        CocoFile(tmp_path / "a.json", None, Problems())


def test_all_problems_are_noted(tmp_path: Path) -> None:
    write_image(tmp_path / "a.jpg")
    bad = [outline(5, *box(1, 1, 5, 5)), outline(7, 1, 1), outline(7, *box(1, 1, 5, 5), image_id=9)]
    assert len(problems_of(write(tmp_path / "a.json", coco(["a.jpg", "b.jpg"], bad)))) == 4


def test_points_on_the_edge_are_inside(tmp_path: Path) -> None:
    assert (read(tmp_path, outline(7, *box(0, 0, WIDTH, HEIGHT))) == 2).all()
    assert (read(tmp_path, outline(7, -0.5, -0.5, 60.5, -0.5, 60.5, 40.5, -0.5, 40.5)) == 2).all()
