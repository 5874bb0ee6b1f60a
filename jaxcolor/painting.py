"""Colors with a given lightness: the gray of an image, and colors that keep it.

Pixels are computed a number at a time, so that memory is bounded and programs are compiled once.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from jaxcolor import oklab
from jaxcolor.training.compilation import jit

PIXELS_AT_ONCE = 2**18
HALVINGS = 6  # when chroma is reduced to what sRGB can show

Gray = UInt8[np.ndarray, "height width"]
Colors = UInt8[np.ndarray, "height width 3"]


def gray_of(image: Colors) -> Gray:
    """Return the gray pixels that have the lightness of an image's colors."""
    first = image[..., 0]
    if np.array_equal(first, image[..., 1]) and np.array_equal(first, image[..., 2]):
        return first
    return in_parts(_gray_of_colors, image.reshape(-1, 3)).reshape(first.shape)


def with_lightness(gray: Gray, colors: Colors) -> Colors:
    """Return colors with the lightness of gray pixels, and with hue and chroma of other colors."""
    return in_parts(_recolor, lightness_of(gray).reshape(-1), colors.reshape(-1, 3)).reshape(colors.shape)


def lightness_of(gray: UInt8[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Return OKLab's lightness of gray pixels."""
    return _lightness_of_levels()[gray]


def paint(lightness: Float[Array, " pixels"], chroma: Float[Array, "pixels 2"]) -> UInt8[Array, "pixels 3"]:
    """Return sRGB colors with a lightness and a chroma, which is reduced where sRGB cannot show it."""

    def colors(share: Float[Array, " pixels"]) -> Float[Array, "pixels 3"]:
        return oklab.to_linear_srgb(jnp.concatenate([lightness[:, None], share[:, None] * chroma], axis=-1))

    def fits(share: Float[Array, " pixels"]) -> Array:
        light = colors(share)
        return ((light >= -1e-4) & (light <= 1 + 1e-4)).all(axis=-1)

    share = jnp.where(fits(jnp.ones_like(lightness)), 1.0, 0.0)
    step = 0.5
    for _ in range(HALVINGS):
        share = jnp.where(fits(share + step) & (share < 1), share + step, share)
        step /= 2
    return jnp.round(255 * oklab.from_linear(colors(share)).clip(0, 1)).astype(jnp.uint8)


def in_parts(function: Callable[..., Array], *arrays: np.ndarray) -> Any:
    """Compile a function of arrays with a row per pixel, and apply it to `PIXELS_AT_ONCE` at a time."""
    program = _compiled(function)
    parts = []
    for start in range(0, len(arrays[0]), PIXELS_AT_ONCE):
        rows = [array[start : start + PIXELS_AT_ONCE] for array in arrays]
        parts.append(np.asarray(program(*map(padded, rows)))[: len(rows[0])])
    return np.concatenate(parts)


def padded(values: np.ndarray) -> np.ndarray:
    """Return the values, and zeros up to `PIXELS_AT_ONCE`."""
    return np.pad(values, [(0, PIXELS_AT_ONCE - len(values)), *[(0, 0)] * (values.ndim - 1)])


@cache
def _lightness_of_levels() -> Float[np.ndarray, " 256"]:
    return oklab.lightness_of_gray(np.arange(256) / 255).astype(np.float32)


_compiled = cache(jit)


def _gray_of_colors(colors: UInt8[Array, "pixels 3"]) -> UInt8[Array, " pixels"]:
    lightness = oklab.from_srgb(colors.astype(jnp.float32) / 255)[:, 0]
    return jnp.round(255 * oklab.gray(lightness)).astype(jnp.uint8)


def _recolor(
    lightness: Float[Array, " pixels"], colors: UInt8[Array, "pixels 3"]
) -> UInt8[Array, "pixels 3"]:
    return paint(lightness, oklab.from_srgb(colors.astype(jnp.float32) / 255)[:, 1:])
