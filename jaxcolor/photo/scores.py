"""Scores of colored photographs, beside those of gray and of a table from lightness to chroma."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from jaxcolor.image_scores import colorfulness, psnr
from jaxcolor.painting import Colors, gray_of, in_parts, lightness_of, paint
from jaxcolor.photo.chroma import Chroma, levels
from jaxcolor.photo.predictor import PhotoColorizer

# The photographs of one table may differ in size, so their axes have no names.
Photograph = UInt8[np.ndarray, "_ _ 3"]
GRAY, TABLE, ORIGINAL = "gray", "most likely chroma per lightness", "original"


class PhotoScores(NamedTuple):
    """Means over images."""

    psnr: float  # dB, of RGB against the original
    ciede2000: float  # color difference from the original; 1 is just noticeable
    colorfulness: float  # 0 is gray, 33 moderate, 82 high


def score_photographs(
    images: Iterable[Photograph], methods: Mapping[str, Callable[[Photograph], Photograph]]
) -> dict[str, PhotoScores]:
    """Return the scores of each method, a function from photographs to colored ones, and of the original.

    Each method gets one image at a time, of which it may only use the lightness.
    """
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in (*methods, ORIGINAL)}
    for image in images:
        for name, method in methods.items():
            found[name].append(score(np.asarray(method(image)), image))
        found[ORIGINAL].append((np.inf, 0.0, colorfulness(image[None])))
    return {name: PhotoScores(*np.mean(rows, axis=0).tolist()) for name, rows in found.items()}


def score(colored: Colors, original: Colors) -> tuple[float, float, float]:
    """Return PSNR, mean CIEDE2000 and colorfulness of an image."""
    from skimage.color import deltaE_ciede2000, rgb2lab  # imports scipy, which takes a second

    difference = deltaE_ciede2000(rgb2lab(original), rgb2lab(colored))
    return psnr(colored[None], original[None]), float(difference.mean()), colorfulness(colored[None])


def methods(
    colorizer: PhotoColorizer, chroma: Chroma, vividness: float | None = None, average: bool = False
) -> dict[str, Callable[[Colors], Colors]]:
    """Return the network at several vividnesses, and the baselines."""
    dials = dict.fromkeys((0.0, colorizer.vividness if vividness is None else vividness, 1.0))
    return baselines(chroma) | {
        f"network, vividness {dial:g}": partial(colorizer.predict, vividness=dial, average=average)
        for dial in dials
    }


def baselines(chroma: Chroma) -> dict[str, Callable[[Colors], Colors]]:
    """Return the methods that need no network: gray, and the most likely chroma of each lightness."""
    table = chroma.centers[chroma.log_prior.argmax(axis=1)]  # [level, 2]

    def to_gray(image: Colors) -> Colors:
        return gray_of(image)[..., None].repeat(3, axis=-1)

    def look_up(image: Colors) -> Colors:
        lightness = lightness_of(gray_of(image)).reshape(-1)
        chosen = table[np.asarray(levels(lightness))]
        return in_parts(paint, lightness, chosen).reshape(image.shape)

    return {GRAY: to_gray, TABLE: look_up}


def describe(rows: Mapping[str, PhotoScores]) -> str:
    """Return the scores as a table."""
    width = max(map(len, rows))
    lines = [f"{'':{width}}      PSNR  CIEDE2000  colorfulness"]
    for name, scores in rows.items():
        of_psnr = f"{scores.psnr:5.2f} dB" if np.isfinite(scores.psnr) else f"{'':8}"
        lines.append(f"{name:{width}}  {of_psnr}  {scores.ciede2000:9.2f}  {scores.colorfulness:12.1f}")
    return "\n".join(lines)
