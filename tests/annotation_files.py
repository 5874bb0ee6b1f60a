"""Small data sets with annotations of COCO and labelme."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 40, 60


def write_image(path: Path, orientation: int = 1, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Path:
    """Write noise. `size` is that of the stored pixels, which an EXIF orientation may turn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    noise = np.random.default_rng(list(path.name.encode())).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(noise).save(path, exif=exif)
    return path


def coco(names: list[str], annotations: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """A COCO file whose image ids are 0, 1 and so on, and whose categories are cat (3) and dog (7)."""
    return {
        "images": [
            {"id": place, "file_name": name, "height": HEIGHT, "width": WIDTH}
            for place, name in enumerate(names)
        ],
        "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
        "annotations": [{"id": place, "image_id": 0, **entry} for place, entry in enumerate(annotations)],
    } | changes


def outline(category: int, *numbers: Any, **changes: Any) -> dict[str, Any]:
    """An annotation with one polygon x, y, x, y, …"""
    return {"category_id": category, "iscrowd": 0, "segmentation": [list(numbers)]} | changes


def box(left: int, top: int, right: int, bottom: int) -> tuple[int, ...]:
    """The corners of a rectangle, whose pixels are those from `left` and `top` to before the others."""
    return left, top, right, top, right, bottom, left, bottom


def labelme(image: str, shapes: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """A file of labelme."""
    return {
        "version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": image, "imageData": None,
        "imageHeight": HEIGHT, "imageWidth": WIDTH,
    } | changes  # fmt: skip


def shape(label: Any, points: Any, kind: Any = "polygon", **changes: Any) -> dict[str, Any]:
    """A shape of labelme."""
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}} | changes


def write(path: Path, value: Any) -> Path:
    """Write a value as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path
