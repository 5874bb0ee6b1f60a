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
PIXELS_AT_ONCE = 2**18

Plane = Float[np.ndarray, "rows columns"]


def fit(
    lightness: Plane,
    chroma: Float[np.ndarray, "rows columns 2"],
    radius: int = RADIUS,
    epsilon: float = EPSILON,
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
    values: Float[np.ndarray, "rows columns number"], size: tuple[int, int]
) -> Iterator[tuple[slice, Float[np.ndarray, "_ _ number"]]]:
    """Yield values for each pixel of an image of `size` (height, width), bilinear, some rows at a time."""
    height, width = size
    rows, columns = values.shape[:2]
    # [row, column, number] with the columns of the image, from where each row of the image is interpolated.
    wide = np.einsum("wc,rcn->rwn", interpolation(width, columns), values, optimize=True)
    to_rows = interpolation(height, rows)
    step = max(1, PIXELS_AT_ONCE // width)
    for start in range(0, height, step):
        part = slice(start, min(start + step, height))
        used = np.flatnonzero(to_rows[part].any(axis=0))
        inside = slice(used[0], used[-1] + 1)
        yield part, np.einsum("hr,rwn->hwn", to_rows[part, inside], wide[inside], optimize=True)
