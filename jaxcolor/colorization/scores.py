"""How colored images are judged besides by their loss: beside the originals, and by themselves."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Integer, UInt8
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from jaxcolor.colorization.palette import Palette, paint

Images = UInt8[np.ndarray, "n height width 3"]
Labels = Integer[np.ndarray, "n height width"]
IMAGES_AT_ONCE = 100  # side by side for their similarities


class ImageScores(NamedTuple):
    """Of images in palette colors; the last three are of what one sees, not of palette indices."""

    accuracy: float  # share of pixels with the palette color of the truth
    psnr: float  # dB, beside the original
    ssim: float  # beside the original
    colorfulness: float


def score_images(predicted: Labels, labels: Labels, originals: Images, palette: Palette) -> ImageScores:
    """The scores of predicted palette indices, given the true ones and the original images."""
    images = paint(predicted, palette)
    return ImageScores(
        float(np.mean(predicted == labels)),
        psnr(images, originals),
        ssim(images, originals),
        colorfulness(images),
    )


def psnr(images: Images, originals: Images) -> float:
    """Peak signal-to-noise ratio in dB, of the mean squared error over all pixels of all images."""
    with np.errstate(divide="ignore"):  # equal images have an infinite one
        return float(peak_signal_noise_ratio(originals, images, data_range=255))


def ssim(images: Images, originals: Images) -> float:
    """Mean structural similarity (Wang et al., 2004), 1 for equal images; its windows are at most 7×7.

    Many small images are compared as one wide one, less the windows that two of them would share.
    """
    n, height, width, _ = images.shape
    window = min(7, height, width)
    window -= 1 - window % 2
    inside = slice(window // 2, -(window // 2))
    total = 0.0
    for start in range(0, n, IMAGES_AT_ONCE):
        part = slice(start, start + IMAGES_AT_ONCE)
        of_pixels = structural_similarity(
            _side_by_side(images[part]), _side_by_side(originals[part]),
            win_size=window, channel_axis=-1, data_range=255, full=True,
        )[1]  # fmt: skip
        of_images = of_pixels.reshape(height, -1, width, 3)[inside, :, inside]
        total += of_images.mean(axis=(0, 2, 3)).sum()
    return float(total / n)


def _side_by_side(images: Images) -> UInt8[np.ndarray, "height n*width 3"]:
    return images.swapaxes(0, 1).reshape(images.shape[1], -1, 3)


def colorfulness(images: Images) -> float:
    """Mean colorfulness (Hasler and Süsstrunk, 2003): 0 is gray, 33 moderately, 82 highly colorful."""
    red, green, blue = (images[..., i].astype(np.float32) for i in range(3))
    opponents = np.stack([red - green, (red + green) / 2 - blue])
    spread = np.sqrt(opponents.var(axis=(2, 3)).sum(axis=0))
    distance = np.sqrt(np.square(opponents.mean(axis=(2, 3))).sum(axis=0))
    return float(np.mean(spread + 0.3 * distance))
