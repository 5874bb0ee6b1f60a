"""What a network's scores lie between: guesses that need no network, and the best that a palette can do."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Integer, UInt8

from jaxcolor.colorization.data import Split
from jaxcolor.colorization.palette import Palette, nearest_color, to_bytes
from jaxcolor.colorization.preprocess import bilinear_baseline, scale
from jaxcolor.colorization.scores import ImageScores, score_images

Labels = Integer[np.ndarray, "n height width"]
LEVELS = 256
IMAGES_AT_ONCE = 1000
MAJORITY, GRAY, BILINEAR, PERFECT = "majority color", "gray level's color", "bilinear", "perfect palette"


def score_baselines(
    train: Split, validation: Split, palette: Palette, downsize_input: bool = False
) -> dict[str, ImageScores]:
    """The scores on the validation images of each baseline, from the worst guess to the perfect one.

    For super-resolution, whose input has colors, the better guess is the bilinear enlargement.
    """
    guesses = {MAJORITY: np.full_like(validation.labels, majority_color(train.labels, len(palette)))}
    if downsize_input:
        enlarged = bilinear_baseline(scale(jnp.asarray(validation.images)))
        guesses[BILINEAR] = np.asarray(nearest_color(to_bytes(np.asarray(enlarged)), palette))
    else:
        guesses[GRAY] = gray_to_color(train, len(palette))[gray_levels(validation.images)]
    guesses[PERFECT] = validation.labels
    return {
        name: score_images(guess, validation.labels, validation.images, palette)
        for name, guess in guesses.items()
    }


def ways(scores: ImageScores, baselines: Mapping[str, ImageScores]) -> dict[str, dict[str, float]]:
    """Guess → how far accuracy and PSNR have come on the way from it to the perfect palette."""
    *guesses, perfect = baselines
    return {
        guess: {
            name: share_of_way(
                *(getattr(one, name) for one in (scores, baselines[guess], baselines[perfect]))
            )
            for name in ("accuracy", "psnr")
        }
        for guess in guesses
    }


def describe_scores(
    rows: Mapping[str, ImageScores], shares: Mapping[str, Mapping[str, float]], original: float
) -> str:
    """The scores as a table; `shares` are `ways`, `original` is the original images' colorfulness."""
    width = max(map(len, rows))
    lines = [f"{'':{width}}  accuracy     PSNR   SSIM  colorfulness (originals {original:.1f})"]
    for name, scores in rows.items():
        lines.append(
            f"{name:{width}}  {100 * scores.accuracy:6.1f} %  {scores.psnr:4.1f} dB  {scores.ssim:.3f}"
            f"  {scores.colorfulness:5.1f}"
        )
    end = list(rows)[-1]
    for start, share in shares.items():
        numbers = f"{100 * share['accuracy']:.0f} % (accuracy), {100 * share['psnr']:.0f} % (PSNR)"
        lines.append(f"of the way from {start} to {end}: {numbers}")
    return "\n".join(lines)


def majority_color(labels: Labels, colors: int) -> int:
    """The palette index of most pixels."""
    return int(np.bincount(labels.ravel(), minlength=colors).argmax())


def gray_levels(images: UInt8[np.ndarray, "n height width 3"]) -> UInt8[np.ndarray, "n height width"]:
    """The mean of red, green and blue, rounded."""
    return ((images.sum(axis=-1, dtype=np.uint16) + 1) // 3).astype(np.uint8)


def gray_to_color(train: Split, colors: int) -> Integer[np.ndarray, " 256"]:
    """For each gray level the palette index of most training pixels that have it, or the next level has."""
    counts = np.zeros(LEVELS * colors, np.int64)
    for start in range(0, len(train.labels), IMAGES_AT_ONCE):
        part = slice(start, start + IMAGES_AT_ONCE)
        pairs = gray_levels(train.images[part]).astype(np.int64) * colors + train.labels[part]
        counts += np.bincount(pairs.ravel(), minlength=len(counts))
    of_level = counts.reshape(LEVELS, colors)
    seen = np.flatnonzero(of_level.sum(axis=1))
    nearest = seen[abs(np.arange(LEVELS)[:, None] - seen).argmin(axis=1)]
    return of_level.argmax(axis=1)[nearest]


def share_of_way(score: float, start: float, end: float) -> float:
    """How far a score has come from one to another: 0 at the start, 1 at the end; nan where they are one."""
    return (score - start) / (end - start) if end != start else float("nan")
