"""The color space OKLab (Ottosson, 2020): lightness L in 0–1, a from green to red, b from blue to yellow.

The a and b of sRGB's colors are within ±0.32.

The functions take arrays of NumPy or JAX, with the three values of a color on the last axis.
"""

from typing import Any

import numpy as np

TO_CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
TO_LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)


def from_srgb(colors: Any) -> Any:
    """Return sRGB colors in 0–1 as OKLab."""
    xp = _numpy(colors)
    return _times(xp.cbrt(_times(to_linear(colors), TO_CONES)), TO_LAB)


def to_srgb(lab: Any) -> Any:
    """Return OKLab colors as sRGB, with values below 0 or above 1 for colors that sRGB lacks."""
    return from_linear(to_linear_srgb(lab))


def to_linear_srgb(lab: Any) -> Any:
    """Return OKLab colors as linear sRGB, with values below 0 or above 1 for colors that sRGB lacks."""
    return _times(_times(lab, np.linalg.inv(TO_LAB)) ** 3, np.linalg.inv(TO_CONES))


def gray(lightness: Any) -> Any:
    """Return the sRGB value in 0–1 of the gray that has a lightness."""
    return from_linear(lightness**3)


def lightness_of_gray(values: Any) -> Any:
    """Return the lightness of gray pixels, from their sRGB values in 0–1."""
    return _numpy(values).cbrt(to_linear(values))


def to_linear(values: Any) -> Any:
    """Return linear light in 0–1 from sRGB values in 0–1."""
    xp = _numpy(values)
    return xp.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def from_linear(light: Any) -> Any:
    """Return sRGB values from linear light. Negative light becomes negative values."""
    xp = _numpy(light)
    curve = 1.055 * xp.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055
    return xp.where(light <= 0.0031308, 12.92 * light, curve)


def _numpy(array: Any) -> Any:
    if isinstance(array, np.ndarray | np.generic):
        return np
    import jax.numpy  # takes a second

    return jax.numpy


def _times(colors: Any, rows: Any) -> Any:
    """Return the products of a matrix and colors. On a GPU they are exact, whatever the default precision."""
    xp = _numpy(colors)
    options = {} if xp is np else {"precision": "highest"}
    return xp.matmul(colors, xp.asarray(rows, colors.dtype).T, **options)
