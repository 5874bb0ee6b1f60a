"""Chroma at the size of the photograph: enlarged so that colors end where the lightness has its edges.

The guided filter (He, Sun and Tang, 2013) in its fast form (He and Sun, arXiv:1505.00996): in each window the
chroma is a linear function of the lightness. The functions are fitted at the low resolution, enlarged, and
applied to the lightness at full resolution.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from scipy.ndimage import uniform_filter

from jaxcolor.layers.resize import interpolation

RADIUS = 4  # pixels of the low resolution around the center of a window
EPSILON = 1e-3  # variance of the lightness below which a window counts as flat
ROWS_AT_ONCE = 64

Plane = Float[np.ndarray, "rows columns"]


def fit(
    lightness: Plane, chroma: Float[np.ndarray, "rows columns 2"], radius: int = RADIUS, epsilon: float = EPSILON
) -> Float[np.ndarray, "rows columns 4"]:
    """Return the linear functions of each pixel: the slopes of a and b, and their constants."""
    size = 2 * radius + 1

    def mean(values: np.ndarray) -> np.ndarray:
        return uniform_filter(values, size, mode="nearest", axes=(0, 1))

    guide = lightness[..., None]
    mean_guide, mean_chroma = mean(guide), mean(chroma)
    variance = mean(guide**2) - mean_guide**2
    covariance = mean(guide * chroma) - mean_guide * mean_chroma
    slopes = covariance / (variance + epsilon)
    constants = mean_chroma - slopes * mean_guide
    return mean(np.concatenate([slopes, constants], axis=-1)).astype(np.float32)


def enlarge(
    functions: Float[np.ndarray, "rows columns 4"], size: tuple[int, int]
) -> Iterator[tuple[slice, Float[np.ndarray, "_ _ 4"]]]:
    """Yield the functions of each pixel of an image of `size` (height, width), some rows at a time."""
    height, width = size
    rows, columns = functions.shape[:2]
    # [row, column, number] with the columns of the image, from where each row of the image is interpolated.
    wide = np.einsum("wc,rcn->rwn", interpolation(width, columns), functions, optimize=True)
    to_rows = interpolation(height, rows)
    for start in range(0, height, ROWS_AT_ONCE):
        part = slice(start, min(start + ROWS_AT_ONCE, height))
        used = np.flatnonzero(to_rows[part].any(axis=0))
        inside = slice(used[0], used[-1] + 1)
        yield part, np.einsum("hr,rwn->hwn", to_rows[part, inside], wide[inside], optimize=True)
