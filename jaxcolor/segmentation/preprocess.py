"""From images and masks of any size to the few sizes that a network is compiled for."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from PIL import Image

from jaxcolor.data.examples import VOID, Size

# Those of ImageNet, with which all backbones' weights were trained; of red, green and blue, in 0–1.
MEAN = (0.485, 0.456, 0.406)
STANDARD_DEVIATION = (0.229, 0.224, 0.225)
STEP = 32  # pixels; sizes of images that have many are rounded to its multiples
FEW = 4  # so many different sizes may stay as they are
SCALES = (0.5, 2.0)  # of random crops

ImageArray = UInt8[np.ndarray, "_ _ 3"]
Mask = UInt8[np.ndarray, "_ _"]


def normalize(images: UInt8[Array, "batch height width 3"]) -> Float[Array, "batch height width 3"]:
    """Images as the backbones' weights want them."""
    mean, deviation = (jnp.asarray(numbers, jnp.float32) * 255 for numbers in (MEAN, STANDARD_DEVIATION))
    return (images.astype(jnp.float32) - mean) / deviation


def network_sizes(sizes: Sequence[Size], resize: Sequence[int] | None) -> list[Size]:
    """For each image the size at which the network sees it.

    `resize` is none, for its own size; one number, for the length of its shorter side; or height and width.
    Where they come to many sizes, these are rounded, so that few programs are compiled: a image becomes
    a little wider or narrower than it was.
    """
    if resize and len(resize) == 2:
        return [(resize[0], resize[1])] * len(sizes)
    scaled = []
    for height, width in sizes:
        scale = resize[0] / min(height, width) if resize else 1
        scaled.append((round(height * scale), round(width * scale)))
    if len(set(scaled)) <= FEW:
        return scaled
    return [(_rounded(height), _rounded(width)) for height, width in scaled]


def label_sizes(sizes: Sequence[Size]) -> list[Size]:
    """For each mask the size to which it is filled up with void, so that few programs are compiled."""
    if len(set(sizes)) <= FEW:
        return list(sizes)
    return [
        (-(-height // (4 * STEP)) * 4 * STEP, -(-width // (4 * STEP)) * 4 * STEP) for height, width in sizes
    ]


def _rounded(length: int) -> int:
    return max(STEP, round(length / STEP) * STEP)


def resize_image(image: ImageArray, size: Size) -> ImageArray:
    """Bilinear, over all pixels that fall into one where the image shrinks."""
    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))


def resize_mask(mask: Mask, size: Size) -> Mask:
    """The label of the nearest pixel."""
    if mask.shape == size:
        return mask
    return np.asarray(Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST))


def fill_up(mask: Mask, size: Size) -> Mask:
    """The mask with void below and to its right."""
    missing = [(0, new - old) for new, old in zip(size, mask.shape, strict=True)]
    return np.pad(mask, missing, constant_values=VOID)


def random_crop(
    image: ImageArray, mask: Mask, side: int, rng: np.random.Generator
) -> tuple[ImageArray, Mask]:
    """A square of a image that was scaled at random; what lies beyond its edge is gray, and void."""
    scale = rng.uniform(*SCALES)
    size = max(1, round(mask.shape[0] * scale)), max(1, round(mask.shape[1] * scale))
    image, mask = resize_image(image, size), resize_mask(mask, size)
    top, left = (rng.integers(0, max(length - side, 0) + 1) for length in size)
    inside = np.s_[top : top + side, left : left + side]
    mask = fill_up(mask[inside], (side, side))
    background = np.round(np.array(MEAN) * 255).astype(np.uint8)
    filled = np.broadcast_to(background, (side, side, 3)).copy()
    cut = image[inside]
    filled[: cut.shape[0], : cut.shape[1]] = cut
    return filled, mask
