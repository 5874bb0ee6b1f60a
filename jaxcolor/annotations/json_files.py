"""JSON files, and checks of the values in them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jaxcolor.data.image_files import Size
from jaxcolor.errors import UserError, reason

OUTSIDE = 1  # pixels that a point may lie outside of its image, because programs round


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds. Raises `UserError` for any other file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error
    if not data.strip():
        raise UserError(f"{path} is empty: export it again")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON, or not complete ({reason(error)}): export it again") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} holds no annotations: give a COCO file, or a folder of labelme's files")
    return value


def get_list(entry: dict[str, Any], key: str, where: str) -> list[Any]:
    """Return a list. Raises `UserError` with `where` if there is none."""
    value = entry.get(key)
    if not isinstance(value, list):
        raise UserError(f"{where} has no list of {key}: export it again")
    return value


def get_text(entry: dict[str, Any], key: str, where: str) -> str:
    """Return a text that is not empty. Raises `UserError` with `where` if there is none."""
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{where} has no {key}: add it")
    return value


def get_whole(entry: dict[str, Any], key: str, where: str) -> int:
    """Return a whole number, which may be written as 640.0. Raises `UserError` with `where`."""
    value: Any = entry.get(key)
    if not is_number(value) or value != value or value % 1:
        raise UserError(f"{where} has the {key} {show(value)}: it must be a whole number")
    return int(value)


def is_number(value: Any) -> bool:
    """Return whether a value of JSON is a number. True and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_points(points: Iterable[Any], size: Size, where: str) -> list[tuple[float, float]]:
    """Return points x, y. Raises `UserError` for what is no point, or lies outside of the image."""
    height, width = size
    found = []
    for point in points:
        if not isinstance(point, list | tuple) or len(point) != 2 or not all(map(is_number, point)):
            raise UserError(f"{where} has the point {show(point)}: it must be two numbers, x and y")
        x, y = point
        inside = -OUTSIDE <= x <= width + OUTSIDE and -OUTSIDE <= y <= height + OUTSIDE  # NaN is not
        if not inside:
            raise UserError(
                f"{where} has the point ({show(x)}, {show(y)}) outside of its image, which has width×height "
                f"{width}×{height}: correct it"
            )
        found.append((float(x), float(y)))
    return found


def show(value: Any) -> str:
    """Return a value for a message, shortened."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
