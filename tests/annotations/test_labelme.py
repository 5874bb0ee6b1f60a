import base64
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotation_files import HEIGHT, WIDTH, coco, labelme, shape, write, write_image
from PIL import Image, ImageDraw, ImageOps

from jaxcolor.annotations.labelme import LabelmeFolder
from jaxcolor.annotations.problems import Problems
from jaxcolor.errors import UserError


def shape_to_mask(points: list[list[float]], kind: str | None) -> np.ndarray:
    """`labelme.utils.shape_to_mask`, for the shapes that have an area."""
    mask = Image.new("1", (WIDTH, HEIGHT))
    draw = ImageDraw.Draw(mask)
    xy = [tuple(point) for point in points]
    if kind == "circle":
        (cx, cy), (px, py) = xy
        d = math.sqrt((cx - px) ** 2 + (cy - py) ** 2)
        draw.ellipse([cx - d, cy - d, cx + d, cy + d], outline=1, fill=1)
    elif kind == "rectangle":
        (x0, y0), (x1, y1) = xy
        draw.rectangle([min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)], outline=1, fill=1)
    else:
        draw.polygon(xy=xy, outline=1, fill=1)
    return np.array(mask)


def in_base64(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def read(tmp_path: Path, *shapes: dict[str, Any], names: list[str] | None = None) -> np.ndarray:
    """The label map of the only image."""
    write_image(tmp_path / "a.jpg")
    write(tmp_path / "a.json", labelme("a.jpg", list(shapes)))
    problems = Problems()
    labels = LabelmeFolder(tmp_path, None, names, problems)[0].label_map
    assert problems == []
    return labels


def problems_of(folder: Path, names: list[str] | None = None) -> list[str]:
    """The problems of a folder and its images."""
    problems = Problems()
    with problems.noting():
        source = LabelmeFolder(folder, None, names, problems)
        for index in range(len(source)):
            with problems.noting():
                source[index]
    return problems


TRIANGLE = [[2, 3], [30.5, 4.25], [11, 33.75]]


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        ("polygon", TRIANGLE),
        ("polygon", [[0, 0], [60, 0], [31.3, 17.2], [60, 40], [0, 40]]),
        (None, TRIANGLE),
        ("", TRIANGLE),
        ("oriented_rectangle", [[10, 5], [30.2, 9], [25, 31], [5, 27]]),
        ("rectangle", [[40.6, 30.2], [10.4, 5]]),
        ("circle", [[20.5, 15], [28, 19]]),
        ("circle", [[50, 5], [59, 9]]),
    ],
)
def test_shapes_have_the_pixels_of_labelme(tmp_path: Path, kind: Any, points: list[list[float]]) -> None:
    expected = shape_to_mask(points, kind)
    assert 50 < expected.sum() < expected.size
    np.testing.assert_array_equal(read(tmp_path, shape("cat", points, kind)), expected)


def test_later_shapes_are_on_top_and_the_background_cuts_holes(tmp_path: Path) -> None:
    labels = read(
        tmp_path,
        shape("dog", [[10, 10], [12, 12]], "rectangle"),
        shape("cat", [[5, 5], [30, 30]], "rectangle"),
        shape("_background_", [[20, 20], [25, 25]], "rectangle"),
        shape("__ignore__", [[23, 23], [27, 27]], "rectangle"),
        shape(" dog ", [[40, 0], [49, 9]], "rectangle"),
    )
    expected = np.zeros((HEIGHT, WIDTH))
    expected[5:31, 5:31] = 1
    expected[20:26, 20:26] = 0
    expected[23:28, 23:28] = 255
    expected[0:10, 40:50] = 2
    np.testing.assert_array_equal(labels, expected)


def test_a_mask_lies_at_its_corner(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).random((6, 9)) < 0.5
    expected = np.zeros((HEIGHT, WIDTH))
    expected[7:13, 4:13] = pixels
    for image in (Image.fromarray(pixels), Image.fromarray(pixels.astype(np.uint8))):
        labels = read(tmp_path, shape("cat", [[4, 7], [12, 12]], "mask", mask=in_base64(image)))
        np.testing.assert_array_equal(labels, expected)
    labels = read(tmp_path, shape("cat", [[3.6, 7.2], [12.4, 12.4]], "mask", mask=in_base64(image)))
    np.testing.assert_array_equal(labels, expected)
    expected[:] = 0
    expected[:5, :8] = pixels[1:, 1:]
    labels = read(tmp_path, shape("cat", [[-1, -1], [7, 4]], "mask", mask=in_base64(image)))
    np.testing.assert_array_equal(labels, expected)


def test_shapes_without_an_area_are_left_out_and_counted(tmp_path: Path) -> None:
    write_image(tmp_path / "a.jpg")
    kinds = {"point": 1, "line": 2, "linestrip": 3}
    shapes = [shape("hair", [[5, 5]] * count, kind) for kind, count in kinds.items()]
    write(tmp_path / "a.json", labelme("a.jpg", [*shapes, shape("cat", TRIANGLE)]))
    folder = LabelmeFolder(tmp_path, None, None, Problems())
    assert folder.classes == ("background", "cat")
    assert set(np.unique(folder[0].label_map)) == {0, 1}
    assert folder.warnings() == [f"{tmp_path}: points and lines are left out, because they have no area: 3"]


def test_classes_are_in_alphabetical_order_or_as_given(tmp_path: Path) -> None:
    shapes = [shape(name, TRIANGLE) for name in ("dog", "Cat", "_background_", "__ignore__", "ape", "cat")]
    write_image(tmp_path / "a.jpg")
    write(tmp_path / "a.json", labelme("a.jpg", shapes))
    assert LabelmeFolder(tmp_path, None, None, Problems()).classes == (
        "background",
        "ape",
        "Cat",
        "cat",
        "dog",
    )
    names = ["dog", "background", "ape", "Cat", "cat"]
    assert LabelmeFolder(tmp_path, None, names, Problems()).classes == tuple(names)
    assert LabelmeFolder(tmp_path, None, ["dog"], Problems()).classes == ("background", "dog")
    labels = read(tmp_path, shape("dog", [[0, 0], [5, 5]], "rectangle"), names=names)
    assert labels[3, 3] == 0
    assert labels[30, 30] == 1


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_masks_are_upright(tmp_path: Path, orientation: int) -> None:
    path = write_image(tmp_path / "a.jpg", orientation)
    with Image.open(path) as image:
        width, height = ImageOps.exif_transpose(image).size
    shapes = [shape("cat", [[3, 5], [20, 9]], "rectangle")]
    for sizes in (
        {},
        {"imageHeight": height, "imageWidth": width},
        {"imageHeight": None, "imageWidth": None},
    ):
        if sizes or orientation < 5:
            write(tmp_path / "a.json", labelme("a.jpg", shapes, **sizes))
            labels = LabelmeFolder(tmp_path, None, None, Problems())[0].label_map
            expected = np.zeros((height, width))
            expected[5:10, 3:21] = 1
            np.testing.assert_array_equal(labels, expected)


def test_the_image_is_the_file_or_the_data(tmp_path: Path) -> None:
    image = write_image(tmp_path / "images" / "a.png")
    other = Image.new("RGB", (WIDTH, HEIGHT))
    write(tmp_path / "json/a.json", labelme("..\\images\\a.png", [], imageData=in_base64(other)))
    found = LabelmeFolder(tmp_path / "json", None, None, Problems())[0]
    assert found.file == tmp_path / "json/../images/a.png"
    assert found.path.as_posix() == "images/a"
    write(tmp_path / "json/a.json", labelme("C:\\data\\a.tif", [], imageData=in_base64(other)))
    found = LabelmeFolder(tmp_path / "json", None, None, Problems())[0]
    assert found.file == base64.b64decode(in_base64(other))
    assert (found.suffix, found.path.as_posix()) == (".png", "data/a")
    write(tmp_path / "json/a.json", labelme("C:\\data\\a.png", []))
    assert LabelmeFolder(tmp_path / "json", tmp_path / "images", None, Problems())[0].file == image


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (shape("cat", [[1, 1], [5, 5]]), "shape 1 ('cat') is a polygon of 2 points, not 3: draw it again"),
        (shape("cat", [[1, 1]], "circle"), "is a circle of 1 points, not 2"),
        (shape("cat", [[1, 1], [2, 2], [3, 3]], "rectangle"), "is a rectangle of 3 points, not 2"),
        (shape("cat", [[1, 1], [5, 5], [-8, 9]]), "has the point (-8, 9) outside of its image, which has"),
        (shape("cat", [[1, 1], [5, 5], [8, 90]]), "has the point (8, 90) outside of its image"),
        (shape("cat", [[1, 1], [5, 5], [8, float("nan")]]), "has the point (8, nan) outside of its image"),
        (shape("cat", [[1, 1], [5, 5], 8]), "has the point 8: it must be two numbers, x and y"),
        (shape("cat", [[1, 1], [5, 5], [8, None]]), "has the point [8, None]: it must be two numbers"),
        (shape("cat", None), "has no list of points"),
        (shape("cat", TRIANGLE, "star"), "has the type 'star': it must be one of polygon, rectangle"),
        (shape("cat", TRIANGLE, ["star"]), "has the type ['star']: it must be one of polygon, rectangle"),
        (shape("cat", [[1, 1], [5, 5]], "mask"), "has no mask: draw it again"),
        (
            shape("cat", [[5, 5], [1, 1]], "mask", mask=in_base64(Image.new("L", (5, 5)))),
            "has its bottom right",
        ),
        (
            shape("cat", [[1, 1], [5, 5]], "mask", mask=in_base64(Image.new("RGB", (5, 5)))),
            "has colors: draw",
        ),
        (shape("cat", [[1, 1], [5, 5]], "mask", mask="AAAA"), "is broken, or not an image"),
        (shape("cat", [[1, 1], [5, 5]], "mask", mask="A"), "is broken: save it with labelme again"),
        (shape("cat", [[1, 1], [5, 5]], "mask", mask="é"), "is broken: save it with labelme again"),
        (shape(" ", TRIANGLE), "shape 1 has no label: add it"),
        (shape(3, TRIANGLE), "shape 1 has no label: add it"),
        ("cat", "shape 1 is 'cat': export the file again"),
    ],
)
def test_a_bad_shape_is_one_line(tmp_path: Path, bad: Any, problem: str) -> None:
    write_image(tmp_path / "a.jpg")
    write(tmp_path / "a.json", labelme("a.jpg", [bad]))
    (line,) = problems_of(tmp_path)
    assert f"{tmp_path}/a.json" in line
    assert problem in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (labelme("q.jpg", []), "a.json names the image 'q.jpg', which is not in"),
        (labelme("q.jpg", [], imageData=""), "a.json names the image 'q.jpg', which is not in"),
        (labelme("q.jpg", [], imageData="AAAA"), "the imageData of"),
        (labelme("a.json", []), "a.json is broken, or not an image"),
        (labelme("", []), "has no imagePath: add it"),
        (labelme("a.jpg", [], imageHeight=60), "with height×width 60×60, but"),
        (labelme("a.jpg", [], imageHeight="x"), "has the imageHeight 'x': it must be a whole number"),
        (labelme("a.jpg", {}), "has no list of shapes"),  # type: ignore[arg-type]
        (coco(["a.jpg"], []), "a.json is no file of labelme: give the file itself"),
        ({"version": 1}, "a.json is no file of labelme: move it away, or export it again"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, data: dict[str, Any], problem: str) -> None:
    write_image(tmp_path / "a.jpg")
    write(tmp_path / "a.json", data)
    (line,) = problems_of(tmp_path)
    assert problem in line


def test_the_problems_of_all_files_are_noted(tmp_path: Path) -> None:
    write_image(tmp_path / "a.jpg")
    write(tmp_path / "a.json", labelme("a.jpg", [shape("cat", []), shape("dog", TRIANGLE)]))
    (tmp_path / "b.json").write_text('{"shapes": [')
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/c.JSON").touch()
    (tmp_path / "._a.json").touch()  # macOS
    lines = problems_of(tmp_path, ["cat"])
    assert [line[len(str(tmp_path)) + 1 :].split()[0].rstrip(":") for line in lines] == [
        "b.json", "sub/c.JSON", "a.json", "a.json"
    ]  # fmt: skip
    assert "shape 2 ('dog') has a label that is not in the file of --classes: add it there" in lines[3]


def test_a_folder_needs_files(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="has no .json file: give the folder of labelme's files, or a COCO file"
    ):
        LabelmeFolder(tmp_path, None, None, Problems())
