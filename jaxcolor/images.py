"""Images as users have them, and the results of `predict`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxcolor.data.colors import class_colors
from jaxcolor.data.image_files import read_image, to_rgb
from jaxcolor.errors import UserError
from jaxcolor.files import expand_user, write_atomically

ImageLike = str | Path | Image.Image | np.ndarray | Sequence[str | Path | Image.Image | np.ndarray]

PREMULTIPLIED = ("La", "RGBa")  # modes whose values are multiplied by alpha


def as_images(value: ImageLike) -> tuple[UInt8[np.ndarray, "n height width 3"], bool]:
    """Return a batch of RGB images, and whether `value` is one image rather than a batch.

    `value` is a path or a Pillow image, which are read as `read_image` does, or a uint8 array: [height,
    width] or [height, width, 1] (gray), [height, width, 3] (RGB), [height, width, 4] (RGB and alpha, which
    is dropped), or a batch [n, height, width, 1, 3 or 4]. A list of images of one size is a batch, too.
    Raises `ValueError` for other arrays, and `UserError` for a file that is no image.
    """
    if isinstance(value, list | tuple):
        return _as_batch(value), False
    if isinstance(value, str | Path):
        return read_image(expand_user(Path(value)))[None], True
    array = _from_pillow(value) if isinstance(value, Image.Image) else np.asarray(value)
    given = f"{array.dtype} {list(array.shape)}"
    if array.ndim == 2:
        array = array[..., None]
    if array.dtype != np.uint8 or array.ndim not in (3, 4) or array.shape[-1] not in (1, 3, 4):
        raise ValueError(
            "expected a uint8 image [height, width] or [height, width, 1, 3 or 4], or a batch [n, height, "
            f"width, 1, 3 or 4], not {given}"
        )
    if 0 in array.shape:
        raise ValueError(f"an image of shape {list(array.shape)} has no pixels")
    is_one = array.ndim == 3
    array = array[None] if is_one else array
    return (array.repeat(3, axis=-1) if array.shape[-1] == 1 else array[..., :3]), is_one


def _as_batch(images: Sequence[ImageLike]) -> UInt8[np.ndarray, "n height width 3"]:
    """Return a list of images of one size as a batch. Raises `ValueError` for other lists."""
    found = [as_images(image) for image in images]
    sizes = {batch.shape[1:3] for batch, _ in found}
    if not found or not all(is_one for _, is_one in found):
        raise ValueError("expected a list of images")
    if len(sizes) > 1:
        text = " and ".join(f"{height}×{width}" for height, width in sorted(sizes))
        raise ValueError(f"the images of a list must have one size, not {text}: predict each alone")
    return np.concatenate([batch for batch, _ in found])


def _from_pillow(image: Image.Image) -> UInt8[np.ndarray, "height width 3"]:
    """Return a Pillow image as RGB. Raises `UserError` if Pillow cannot convert its mode."""
    if image.mode in PREMULTIPLIED:
        image = image.convert(image.mode.upper())
    try:
        return to_rgb(image, "the image")
    except ValueError as error:
        raise UserError(
            f"the image has Pillow's mode {image.mode}, which does not become RGB: convert it first"
        ) from error


class ColorImage(np.ndarray):
    """A uint8 array [height, width, 3] of RGB values that can save itself. Notebooks show it as an image."""

    def save(self, path: str | Path) -> None:
        """Write an image file in the format of the path's suffix. Raises `ValueError` for a batch."""
        check_one(self, 3)
        save_image(expand_user(Path(path)), Image.fromarray(np.asarray(self)))

    def _repr_png_(self) -> bytes | None:
        is_image = self.ndim == 3 and self.shape[-1] == 3 and self.dtype == np.uint8
        return Image.fromarray(np.asarray(self))._repr_png_() if is_image else None


class LabelMap(np.ndarray):
    """A uint8 array [height, width] of class indices. `classes` holds the names of the classes.

    Notebooks show it in the colors of the classes.
    """

    classes: tuple[str, ...]

    @classmethod
    def of(cls, labels: UInt8[np.ndarray, "*shape"], classes: Sequence[str]) -> "LabelMap":
        """Return labels as a LabelMap."""
        label_map = np.asarray(labels).view(cls)
        label_map.classes = tuple(classes)
        return label_map

    def __array_finalize__(self, source: Any) -> None:
        self.classes = getattr(source, "classes", ())

    def to_image(self) -> Image.Image:
        """Return a palette image whose pixels are the class indices, in the colors of the classes."""
        image = Image.fromarray(np.asarray(self))
        image.putpalette(class_colors(self.classes).tobytes())
        return image

    def save(self, path: str | Path) -> None:
        """Write a palette image (PNG) whose pixels are the class indices. Raises `ValueError` for a batch."""
        check_one(self, 2)
        save_image(expand_user(Path(path)), self.to_image())

    def _repr_png_(self) -> bytes | None:
        return self.to_image().convert("RGB")._repr_png_() if self.ndim == 2 else None


def check_one(images: np.ndarray, axes: int) -> None:
    """Raise `ValueError` unless an array is one image, with that many axes."""
    if images.ndim != axes:
        raise ValueError(f"save takes one image, not an array of shape {list(images.shape)}: index a batch")


def image_format(path: Path) -> str:
    """Return Pillow's format of a path's suffix, PNG without one. Raises `UserError` if there is none."""
    if not path.suffix:
        return "PNG"
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind not in Image.SAVE:
        raise UserError(f"{path}: no image format has the suffix {path.suffix}: use .png or .jpg")
    return kind


def save_image(path: Path, image: Image.Image) -> None:
    """Write an image file, complete or not at all, in the format of the path's suffix (PNG without one)."""
    kind = image_format(path)
    write_atomically(path, lambda file: image.save(file, format=kind))
