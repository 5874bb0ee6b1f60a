"""How large a image file is."""

from pathlib import Path

from PIL import Image


def read_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels."""
    with Image.open(path) as image:
        return image.size
