"""The prior of colors: how likely each palette color is at each gray level.

`log p(color | gray level)` is counted on the training pixels and added to the logits of a network, which then
learns only what the gray level alone does not say.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, UInt8

from jaxcolor.errors import UserError, reason
from jaxcolor.layers.conv.squares import cut
from jaxcolor.layers.fusion import Squares, note_source, source_of

PRIOR_FILE = "prior.npy"
LEVELS = 256
PIXELS_OF_ALL_LEVELS = 10.0  # how many pixels the shares of all levels count for at each level
IMAGES_AT_ONCE = 1000

Images = UInt8[np.ndarray, "n height width 3"]
Labels = Integer[np.ndarray, "n height width"]
Counts = Integer[np.ndarray, "256 colors"]
LogPrior = Float[np.ndarray, "256 colors"]


def gray_levels(images: Images) -> UInt8[np.ndarray, "n height width"]:
    """Return the mean of red, green and blue, rounded to 0–255."""
    return ((images.sum(axis=-1, dtype=np.uint16) + 1) // 3).astype(np.uint8)


def count_colors(images: Images, labels: Labels, colors: int) -> Counts:
    """Return the number of pixels of each gray level and palette color."""
    counts = np.zeros(LEVELS * colors, np.int64)
    for start in range(0, len(labels), IMAGES_AT_ONCE):
        part = slice(start, start + IMAGES_AT_ONCE)
        pairs = gray_levels(images[part]).astype(np.int64) * colors + labels[part]
        counts += np.bincount(pairs.ravel(), minlength=len(counts))
    return counts.reshape(LEVELS, colors)


def log_prior(counts: Counts) -> LogPrior:
    """Return log p(color | gray level), float32.

    A level with few pixels is near the shares of the colors at all levels, and no share is 0.
    """
    of_all = counts.sum(axis=0) + 1.0
    smoothed = counts + PIXELS_OF_ALL_LEVELS * of_all / of_all.sum()
    return np.log(smoothed / smoothed.sum(axis=1, keepdims=True)).astype(np.float32)


def load_prior(path: Path, colors: int) -> LogPrior:
    """Read the prior of a run. Raises `UserError` if the file is damaged."""
    try:
        prior = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"cannot read the prior {path}: {reason(error)}") from error
    if prior.shape != (LEVELS, colors) or prior.dtype != np.float32:
        raise UserError(f"the prior {path} is damaged: it must be float32 [{LEVELS}, {colors}]")
    return prior


def with_prior(apply_fn: Callable[..., Any], prior: LogPrior) -> Callable[..., Any]:
    """Return the `apply` of a network for gray images with the prior in its logits."""

    def apply(variables: Any, inputs: Array, *args: Any, **kwargs: Any) -> Any:
        result = apply_fn(variables, inputs, *args, **kwargs)
        logits, *rest = result if isinstance(result, tuple) else (result,)
        logits = add_prior(logits, inputs, prior)
        return (logits, *rest) if rest else logits

    return apply


def add_prior(
    logits: Float[Array, "batch height width colors"],
    inputs: Float[Array, "batch height width 1"],
    prior: LogPrior,
) -> Float[Array, "batch height width colors"]:
    """Return logits plus the prior of each pixel's gray level, in float32. Gray levels are in [0, 1)."""
    table = jnp.asarray(prior)
    levels = jnp.round(inputs * LEVELS).clip(0, LEVELS - 1).astype(jnp.uint8)
    total = _add(logits, table, levels)
    source = source_of(logits)
    if not isinstance(source, Squares):
        return total
    # The loss reads the squares, so the prior is added there, too.
    squares = _add(source.pixels, table, cut(levels, source.offset).pixels)
    return note_source(total, Squares(squares, source.offset))


def _add(logits: Array, table: Array, levels: UInt8[Array, "*pixels 1"]) -> Array:
    return logits.astype(jnp.float32) + table.at[levels[..., 0]].get(mode="promise_in_bounds")
