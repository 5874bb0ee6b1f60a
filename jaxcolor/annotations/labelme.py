"""labelme's files: one per image, with polygons and other shapes.

https://github.com/wkentaro/labelme
"""

import base64
import binascii
import math
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Bool
from PIL import Image, ImageDraw

from jaxcolor.annotations.class_names import BACKGROUND, label_of
from jaxcolor.annotations.images import AnnotatedImage, ImageFile, find_image, place_of
from jaxcolor.annotations.json_files import check_points, get_list, get_text, get_whole, read_json, show
from jaxcolor.annotations.problems import Problems
from jaxcolor.data.image_files import load, open_image
from jaxcolor.data.label_maps import VOID
from jaxcolor.errors import UserError
from jaxcolor.files import files_below

WITHOUT_AREA = ("point", "points", "line", "linestrip")
POINTS = {"polygon": 3, "rectangle": 2, "circle": 2, "oriented_rectangle": 4, "mask": 2}  # polygons: at least

Points = list[tuple[float, float]]


class LabelmeFolder:
    """The images of a folder of labelme's files, and of the folders in it.

    `names` are the classes in the order of their labels, by default the background and the others in
    alphabetical order. Files that cannot be used are noted.
    """

    def __init__(self, path: Path, folder: Path | None, names: Sequence[str] | None, problems: Problems):
        self.path = path
        self._folder = folder
        self._problems = problems
        self._without_area = 0  # shapes that were left out
        files = [file for file in files_below(path) if file.suffix.lower() == ".json" and file.name[0] != "."]
        if not files:
            raise UserError(f"{path} has no .json file: give the folder of labelme's files, or a COCO file")
        self._files = []
        used: set[str] = set()
        for file in files:
            with problems.noting():
                used |= read_labels(file)
                self._files.append(file)
        found = sorted(
            (name for name in used if label_of(name) is None), key=lambda name: (name.casefold(), name)
        )
        self.classes = (BACKGROUND, *found) if names is None else with_background(names)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> AnnotatedImage:
        """Return an image with its mask. Raises `UserError` if the image cannot be used.

        Problems with shapes are noted.
        """
        file = self._files[index]
        where = str(file)
        data = read_json(file)
        name = get_text(data, "imagePath", where)
        image = self._image(file, name, data.get("imageData"))
        size = image.upright
        if data.get("imageHeight") is not None and data.get("imageWidth") is not None:
            size = (get_whole(data, "imageHeight", where), get_whole(data, "imageWidth", where))
        image.check_size(size, where)
        label_map = Image.new("L", size[::-1], self.classes.index(BACKGROUND))
        for place, shape in enumerate(get_list(data, "shapes", where)):
            with self._problems.noting():
                self._draw(label_map, shape, f"{where}: shape {place + 1} ({show(shape['label'])})")
        folder = PurePosixPath(file.relative_to(self.path).parent.as_posix())
        return image.annotate(np.asarray(label_map), folder / place_of(name), where)

    def warnings(self) -> list[str]:
        """Return what the user may not expect of the images that were read."""
        line = f"{self.path}: points and lines are left out, because they have no area: {self._without_area}"
        return [line] if self._without_area else []

    def _image(self, file: Path, name: str, data: Any) -> ImageFile:
        """Return the image file, or the image that labelme's file holds if there is none."""
        folders = [file.parent] if self._folder is None else [self._folder]
        try:
            path = find_image(name, folders, str(file))
            return ImageFile(path, str(path))
        except UserError:
            if not isinstance(data, str) or not data:
                raise
        where = f"the imageData of {file}"
        return ImageFile(decode(data, where), where)

    def _draw(self, label_map: Image.Image, shape: dict[str, Any], where: str) -> None:
        """Draw a shape over those before it, as labelme does."""
        kind = shape.get("shape_type") or "polygon"  # old files have no type
        if kind in WITHOUT_AREA:
            self._without_area += 1
            return
        label = self._label(shape["label"].strip(), where)
        if not isinstance(kind, str) or kind not in POINTS:
            raise UserError(f"{where} has the type {show(kind)}: it must be one of {', '.join(POINTS)}")
        size = (label_map.height, label_map.width)
        points = check_points(get_list(shape, "points", where), size, where)
        if len(points) < POINTS[kind] or (len(points) > POINTS[kind] and kind != "polygon"):
            raise UserError(f"{where} is a {kind} of {len(points)} points, not {POINTS[kind]}: draw it again")
        if kind == "mask":
            left, top = points[0]
            mask = Image.fromarray(read_mask(shape.get("mask"), points, where))
            label_map.paste(label, (round(left), round(top)), mask)
        else:
            draw_outline(label_map, kind, points, label)

    def _label(self, name: str, where: str) -> int:
        if name in self.classes:
            return self.classes.index(name)
        label = label_of(name)
        if label is None:
            raise UserError(f"{where} has a label that is not in the file of --classes: add it there")
        return label if label == VOID else self.classes.index(BACKGROUND)


def read_labels(file: Path) -> set[str]:
    """Return the labels of a file. Raises `UserError` if it is not labelme's."""
    data = read_json(file)
    if "shapes" not in data:
        hint = "give the file itself" if "categories" in data else "move it away, or export it again"
        raise UserError(f"{file} is no file of labelme: {hint}")
    labels = set()
    for place, shape in enumerate(get_list(data, "shapes", str(file))):
        where = f"{file}: shape {place + 1}"
        if not isinstance(shape, dict):
            raise UserError(f"{where} is {show(shape)}: export the file again")
        label = get_text(shape, "label", where).strip()
        if shape.get("shape_type") not in WITHOUT_AREA:
            labels.add(label)
    return labels


def with_background(names: Sequence[str]) -> tuple[str, ...]:
    """Return classes with the background before them, if it is not one of them."""
    return tuple(names) if BACKGROUND in names else (BACKGROUND, *names)


def draw_outline(label_map: Image.Image, kind: str, points: Points, label: int) -> None:
    """Fill a shape, its outline included (`shape_to_mask` of labelme)."""
    draw = ImageDraw.Draw(label_map)
    if kind == "rectangle":
        xs, ys = zip(*points, strict=True)
        draw.rectangle((min(xs), min(ys), max(xs), max(ys)), outline=label, fill=label)
    elif kind == "circle":
        (x, y), edge = points
        radius = math.dist((x, y), edge)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=label, fill=label)
    else:
        draw.polygon(points, outline=label, fill=label)


def read_mask(data: Any, points: Points, where: str) -> Bool[np.ndarray, "height width"]:
    """Return the pixels of a shape of type mask, from the corner `points[0]` on."""
    if not isinstance(data, str):
        raise UserError(f"{where} has no mask: draw it again")
    name = f"the mask of {where}"
    with open_image(decode(data, name), name) as image:
        load(image, name)
        mask = np.asarray(image)
    if mask.ndim != 2:
        raise UserError(f"{name} has colors: draw it again")
    (left, top), (right, bottom) = points
    if left > right or top > bottom:
        raise UserError(f"{where} has its bottom right corner before the top left one: draw it again")
    if all(value % 1 == 0 for point in points for value in point):
        mask = mask[: int(bottom - top) + 1, : int(right - left) + 1]
    return mask.astype(bool)


def decode(data: str, where: str) -> bytes:
    """Return the bytes of a text in base64. Raises `UserError` with `where`."""
    try:
        return base64.b64decode(data)
    except (binascii.Error, ValueError) as error:
        raise UserError(f"{where} is broken: save it with labelme again") from error
