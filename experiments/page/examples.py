"""The images that the page offers: photographs of installed packages, and the sample for segmentation."""

from importlib.resources import as_file, files
from pathlib import Path

from PIL import Image

from jaxcolor.data.photographs import CAMERA, PHOTOGRAPHS
from jaxcolor.data.shapes import ShapeImages
from jaxcolor.images import save_image

SHAPES = (9, 17)  # of the validation images of the built-in sample
THUMBNAIL = (160, 160)  # pixels


def write_photographs(folder: Path) -> list[Path]:
    """Copy photographs of installed packages into a folder. Return their paths."""
    folder.mkdir(parents=True)
    paths = []
    for package, name in (CAMERA, *PHOTOGRAPHS):
        with as_file(files(package).joinpath(name)) as source:
            target = folder / source.name
            target.write_bytes(source.read_bytes())
        paths.append(target)
    return paths


def write_shapes(folder: Path) -> list[Path]:
    """Write images of the sample that segmentation runs train on without other data."""
    images = ShapeImages("validation")
    paths = [folder / f"shapes-{index}.png" for index in SHAPES]
    for path, index in zip(paths, SHAPES, strict=True):
        save_image(path, Image.fromarray(images[index].image))
    return paths


def write_thumbnails(paths: list[Path], folder: Path, in_gray: bool) -> list[Path]:
    """Write a small square of the middle of each image. Return their paths."""
    thumbnails = [folder / f"{path.stem}.jpg" for path in paths]
    for path, thumbnail in zip(paths, thumbnails, strict=True):
        with Image.open(path) as image:
            save_image(thumbnail, square(image.convert("L" if in_gray else "RGB")))
    return thumbnails


def square(image: Image.Image) -> Image.Image:
    """Return the middle of an image as a thumbnail."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return image.resize(THUMBNAIL, Image.Resampling.LANCZOS, box=box)
