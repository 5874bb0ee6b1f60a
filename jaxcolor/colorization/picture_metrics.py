"""How coloured pictures are judged besides by their loss: beside the originals, and by themselves."""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from jaxtyping import Integer, UInt8
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from jaxcolor.colorization.palette import Palette, paint

Pictures = UInt8[np.ndarray, "n height width 3"]
Labels = Integer[np.ndarray, "n height width"]
SSIM_PICTURES = 2000  # at most, the first ones: each takes nearly a millisecond


class PictureScores(NamedTuple):
    """Of pictures in palette colours; the last three are of what one sees, not of palette indices."""

    accuracy: float  # share of pixels with the palette colour of the truth
    psnr: float  # dB, beside the original
    ssim: float  # beside the original
    colorfulness: float


def score_pictures(predicted: Labels, labels: Labels, originals: Pictures, palette: Palette) -> PictureScores:
    """The scores of predicted palette indices, given the true ones and the original pictures."""
    pictures = paint(predicted, palette)
    return PictureScores(
        float(np.mean(predicted == labels)),
        psnr(pictures, originals),
        ssim(pictures, originals),
        colorfulness(pictures),
    )


def psnr(pictures: Pictures, originals: Pictures) -> float:
    """Peak signal-to-noise ratio in dB, of the mean squared error over all pixels of all pictures."""
    with np.errstate(divide="ignore"):  # equal pictures have an infinite one
        return float(peak_signal_noise_ratio(originals, pictures, data_range=255))


def ssim(pictures: Pictures, originals: Pictures) -> float:
    """Mean structural similarity (Wang et al., 2004), 1 for equal pictures."""

    def of_one(picture: np.ndarray, original: np.ndarray) -> float:
        window = min(7, *picture.shape[:2])
        return structural_similarity(
            picture, original, win_size=window - 1 + window % 2, channel_axis=-1, data_range=255
        )

    with ThreadPoolExecutor() as pool:
        return float(np.mean(list(pool.map(of_one, pictures[:SSIM_PICTURES], originals[:SSIM_PICTURES]))))


def colorfulness(pictures: Pictures) -> float:
    """Mean colourfulness (Hasler and Süsstrunk, 2003): 0 is grey, 33 moderately, 82 highly colourful."""
    red, green, blue = (pictures[..., i].astype(np.float32) for i in range(3))
    opponents = np.stack([red - green, (red + green) / 2 - blue])
    spread = np.sqrt(opponents.var(axis=(2, 3)).sum(axis=0))
    distance = np.sqrt(np.square(opponents.mean(axis=(2, 3))).sum(axis=0))
    return float(np.mean(spread + 0.3 * distance))
