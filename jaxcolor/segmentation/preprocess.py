"""From images and label maps of any size to the few sizes that a network is compiled for."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFilter

from jaxcolor.data.image_files import Size
from jaxcolor.data.label_maps import VOID
from jaxcolor.pretrained.imagenet import MEAN

STEP = 32  # pixels; many different sizes are rounded to multiples of it
FEW = 4  # up to so many different sizes are kept as they are
SCALES = (0.5, 2.0)  # of random crops

ImageArray = UInt8[np.ndarray, "_ _ 3"]
LabelMap = UInt8[np.ndarray, "_ _"]


def network_sizes(sizes: Sequence[Size], resize: Sequence[int] | None) -> list[Size]:
    """Return, for each image, the size (height, width) at which the network sees it.

    It is that of `resized_sizes`. If there are more than `FEW` different sizes, they are rounded to multiples
    of `STEP`, so that few programs are compiled. Rounding makes an image a little wider or narrower.
    """
    resized = resized_sizes(sizes, resize)
    if len(set(resized)) <= FEW:
        return resized
    return [(_rounded(height), _rounded(width)) for height, width in resized]


def resized_sizes(sizes: Sequence[Size], resize: Sequence[int] | None) -> list[Size]:
    """Return the size (height, width) of each image after resizing.

    `resize` is empty or None to keep the size, one number for the length of the shorter side, or height and
    width.
    """
    if resize and len(resize) == 2:
        return [(resize[0], resize[1])] * len(sizes)
    resized = []
    for height, width in sizes:
        scale = resize[0] / min(height, width) if resize else 1
        resized.append((round(height * scale), round(width * scale)))
    return resized


def label_map_sizes(sizes: Sequence[Size]) -> list[Size]:
    """Return, for each label map, the size that it is padded to, so that few programs are compiled."""
    if len(set(sizes)) <= FEW:
        return list(sizes)
    return [
        (-(-height // (4 * STEP)) * 4 * STEP, -(-width // (4 * STEP)) * 4 * STEP) for height, width in sizes
    ]


def _rounded(length: int) -> int:
    return max(STEP, round(length / STEP) * STEP)


def resize_image(image: ImageArray, size: Size) -> ImageArray:
    """Resize bilinearly, with antialiasing when the image shrinks."""
    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))


def resize_label_map(label_map: LabelMap, size: Size) -> LabelMap:
    """Resize to the label of the nearest pixel."""
    if label_map.shape == size:
        return label_map
    return np.asarray(Image.fromarray(label_map).resize(size[::-1], Image.Resampling.NEAREST))


def pad_label_map(label_map: LabelMap, size: Size) -> LabelMap:
    """Pad with void below and to the right."""
    missing = [(0, new - old) for new, old in zip(size, label_map.shape, strict=True)]
    return np.pad(label_map, missing, constant_values=VOID)


def random_crop(
    image: ImageArray,
    label_map: LabelMap,
    size: Size,
    side: int,
    rng: np.random.Generator,
    scales: tuple[float, float] = SCALES,
) -> tuple[ImageArray, LabelMap]:
    """Scale an image and cut out a square, both at random. Outside of the image it is gray and void.

    `size` (height, width) is that of the image at a scale of 1.
    """
    scale = rng.uniform(*scales)
    scaled = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    image, label_map = resize_image(image, scaled), resize_label_map(label_map, scaled)
    top, left = (rng.integers(0, max(length - side, 0) + 1) for length in scaled)
    inside = np.s_[top : top + side, left : left + side]
    label_map = pad_label_map(label_map[inside], (side, side))
    background = np.round(np.array(MEAN) * 255).astype(np.uint8)
    filled = np.broadcast_to(background, (side, side, 3)).copy()
    cut = image[inside]
    filled[: cut.shape[0], : cut.shape[1]] = cut
    return filled, label_map


def random_colors(image: ImageArray, strength: float, rng: np.random.Generator) -> ImageArray:
    """Change brightness, contrast and saturation by factors from 1 − `strength` to 1 + `strength`."""
    brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3).astype(np.float32)
    values = brightness * image.astype(np.float32)
    values = values.mean() + contrast * (values - values.mean())
    gray = values.mean(axis=-1, keepdims=True)
    values = gray + saturation * (values - gray)
    return np.round(values.clip(0, 255)).astype(np.uint8)


def random_blur(image: ImageArray, largest: float, rng: np.random.Generator) -> ImageArray:
    """Blur every other image, with a Gaussian whose standard deviation is at most `largest` pixels."""
    deviation = rng.uniform(0, largest)
    if rng.random() < 0.5:
        return image
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(deviation)))
