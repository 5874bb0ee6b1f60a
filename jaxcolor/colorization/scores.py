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
from jaxcolor.image_scores import colorfulness, psnr, psnr_of_images, ssim, ssim_of_images

Images = UInt8[np.ndarray, "n height width 3"]
Labels = Integer[np.ndarray, "n height width"]
OfImages = Float[np.ndarray, " n"]
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
