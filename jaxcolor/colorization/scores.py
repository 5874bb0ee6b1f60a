"""Scores of colored images, beside those of baselines that need no network and of a perfect palette."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Integer, UInt8

from jaxcolor.colorization.data import LabeledImages
from jaxcolor.colorization.palette import Palette, nearest_color, paint, to_bytes
from jaxcolor.colorization.preprocess import bilinear_baseline, scale
from jaxcolor.colorization.prior import count_colors, gray_levels
from jaxcolor.files import write_csv

Images = UInt8[np.ndarray, "n height width 3"]
Labels = Integer[np.ndarray, "n height width"]
OfImages = Float[np.ndarray, " n"]
IMAGES_PER_SSIM = 100  # side by side
MAJORITY, TABLE, BILINEAR, PERFECT = "majority color", "gray-level table", "bilinear", "perfect palette"
NETWORK = "this network"


class ImageScores(NamedTuple):
    """Scores of images in palette colors. Only `accuracy` compares palette indices."""

    accuracy: float  # share of pixels with the true palette color
    psnr: float  # dB, against the original
    ssim: float  # against the original
    colorfulness: float


def score_images(predicted: Labels, labels: Labels, originals: Images, palette: Palette) -> ImageScores:
    """Score predicted palette indices against the true ones and the original images."""
    images = paint(predicted, palette)
    return ImageScores(
        float(np.mean(predicted == labels)),
        psnr(images, originals),
        ssim(images, originals),
        colorfulness(images),
    )


def psnr(images: Images, originals: Images) -> float:
    """Return the peak signal-to-noise ratio in dB, from the mean squared error over all images."""
    from skimage.metrics import peak_signal_noise_ratio  # imports scipy.stats, which takes a second

    with np.errstate(divide="ignore"):  # it is infinite for equal images
        return float(peak_signal_noise_ratio(originals, images, data_range=255))


def psnr_of_images(images: Images, originals: Images) -> OfImages:
    """Return the peak signal-to-noise ratio of each image in dB, infinite for equal images."""
    pairs = zip(images, originals, strict=True)
    return np.array([psnr(image[None], original[None]) for image, original in pairs])


def ssim(images: Images, originals: Images) -> float:
    """Return the mean structural similarity of the images."""
    return float(ssim_of_images(images, originals).mean())


def ssim_of_images(images: Images, originals: Images) -> OfImages:
    """Return the structural similarity (Wang et al., 2004) of each image with 7×7 windows.

    It is 1 for equal images. Many small images are compared as one wide image, without the windows that two
    of them share.
    """
    from skimage.metrics import structural_similarity

    n, height, width, _ = images.shape
    window = min(7, height, width)
    window -= 1 - window % 2
    inside = slice(window // 2, -(window // 2))
    found = []
    for start in range(0, n, IMAGES_PER_SSIM):
        part = slice(start, start + IMAGES_PER_SSIM)
        of_pixels = structural_similarity(
            _side_by_side(images[part]), _side_by_side(originals[part]),
            win_size=window, channel_axis=-1, data_range=255, full=True,
        )[1]  # fmt: skip
        of_images = of_pixels.reshape(height, -1, width, 3)[inside, :, inside]
        found.append(of_images.mean(axis=(0, 2, 3)))
    return np.concatenate(found)


def _side_by_side(images: Images) -> UInt8[np.ndarray, "height n*width 3"]:
    return images.swapaxes(0, 1).reshape(images.shape[1], -1, 3)


def colorfulness(images: Images) -> float:
    """Return the mean colorfulness (Hasler and Süsstrunk, 2003): 0 is gray, 33 moderate, 82 high."""
    red, green, blue = (images[..., i].astype(np.float32) for i in range(3))
    opponents = np.stack([red - green, (red + green) / 2 - blue])
    spread = np.sqrt(opponents.var(axis=(2, 3)).sum(axis=0))
    distance = np.sqrt(np.square(opponents.mean(axis=(2, 3))).sum(axis=0))
    return float(np.mean(spread + 0.3 * distance))


def score_baselines(
    train: LabeledImages, validation: LabeledImages, palette: Palette, downsize_input: bool = False
) -> dict[str, ImageScores]:
    """Return the validation scores of each baseline: the majority color, a better guess, the perfect palette.

    The better guess is the gray-level table. For super-resolution, whose input has colors, it is the bilinear
    enlargement.
    """
    guesses = {MAJORITY: np.full_like(validation.labels, majority_color(train.labels, len(palette)))}
    if downsize_input:
        enlarged = bilinear_baseline(scale(jnp.asarray(validation.images)))
        guesses[BILINEAR] = np.asarray(nearest_color(to_bytes(np.asarray(enlarged)), palette))
    else:
        guesses[TABLE] = gray_level_table(train, len(palette))[gray_levels(validation.images)]
    guesses[PERFECT] = validation.labels
    return {
        name: score_images(guess, validation.labels, validation.images, palette)
        for name, guess in guesses.items()
    }


def write_image_scores(
    path: Path, predicted: Labels, labels: Labels, originals: Images, palette: Palette
) -> None:
    """Write a row per image: its index, accuracy, PSNR and SSIM. An infinite PSNR is an empty cell."""
    images = paint(predicted, palette)
    accuracy = np.mean(predicted == labels, axis=(1, 2))
    columns = (accuracy, psnr_of_images(images, originals), ssim_of_images(images, originals))
    rows = [[index, *row] for index, row in enumerate(np.stack(columns, axis=-1).tolist())]
    write_csv(path, ["image", "accuracy", "psnr", "ssim"], rows)


def describe_scores(rows: Mapping[str, ImageScores], original: float) -> str:
    """Return the scores as a table, the least accurate row first.

    `original` is the colorfulness of the original images.
    """
    rows = dict(sorted(rows.items(), key=lambda row: row[1].accuracy))
    width = max(map(len, rows))
    lines = [f"{'':{width}}  accuracy     PSNR   SSIM  colorfulness (originals {original:.1f})"]
    for name, scores in rows.items():
        lines.append(
            f"{name:{width}}  {100 * scores.accuracy:6.1f} %  {scores.psnr:4.1f} dB  {scores.ssim:.3f}"
            f"  {scores.colorfulness:5.1f}"
        )
    return "\n".join(lines)


def majority_color(labels: Labels, colors: int) -> int:
    """Return the palette index of most pixels."""
    return int(np.bincount(labels.ravel(), minlength=colors).argmax())


def gray_level_table(train: LabeledImages, colors: int) -> Integer[np.ndarray, " 256"]:
    """Return the most frequent palette index per gray level of the training pixels.

    A level that no training pixel has takes the index of the nearest level.
    """
    of_level = count_colors(train.images, train.labels, colors)
    seen = np.flatnonzero(of_level.sum(axis=1))
    nearest = seen[abs(np.arange(len(of_level))[:, None] - seen).argmin(axis=1)]
    return of_level.argmax(axis=1)[nearest]
