"""Classes of chroma: bins in the plane (a, b) of OKLab, how frequent they are, and how to decode them.

Zhang, Isola and Efros, arXiv:1603.08511, with OKLab in place of CIELAB.
"""

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8, UInt16

from jaxcolor import oklab
from jaxcolor.errors import UserError, reason
from jaxcolor.files import write_atomically

CHROMA_FILE = "chroma.npz"  # in a run folder
SPACING = 0.03  # between the centers of neighboring bins
REACH = 0.36  # the largest |a| and |b| of sRGB's colors is 0.32
SIDE = 2 * round(REACH / SPACING) + 1  # cells of the grid per axis
LEVELS = 32  # of lightness, for the prior
RAREST = 2e-6  # share of the pixels that a bin holds at least
LOWEST_TEMPERATURE = 0.02  # at a vividness of 1: nearly all weight is on the most likely bin
SMOOTHING = 30.0  # pixels of the overall frequencies that are added to each level of lightness

Lab = Float[Array, "batch rows columns 3"]
Counts = Int[np.ndarray, "levels cells"]


class Chroma(NamedTuple):
    """The bins of a network, and their frequencies in its training images."""

    centers: Float[np.ndarray, "bins 2"]  # a and b
    nearest: UInt16[np.ndarray, " cells"]  # the bin of each cell of the grid
    log_prior: Float[np.ndarray, "levels bins"]  # log p(bin | level of lightness)
    frequencies: Float[np.ndarray, " bins"]  # p(bin)


def cells(lab: Lab) -> Int[Array, "batch rows columns"]:
    """Return the cell of the grid that holds each color's a and b."""
    place = jnp.clip(jnp.round((lab[..., 1:] + REACH) / SPACING), 0, SIDE - 1).astype(jnp.int32)
    return place[..., 0] * SIDE + place[..., 1]


def levels(lightness: Float[Array | np.ndarray, "*place"]) -> Int[Array, "*place"]:
    """Return the level of each lightness, from 0 to `LEVELS` − 1."""
    return jnp.clip(jnp.asarray(lightness * LEVELS, jnp.int32), 0, LEVELS - 1)


def shrink(
    images: Float[Array, "batch height width channel"], stride: int
) -> Float[Array, "batch rows columns channel"]:
    """Return the means of squares of `stride`×`stride` pixels."""
    batch, height, width, channels = images.shape
    squares = images.reshape(batch, height // stride, stride, width // stride, stride, channels)
    return squares.mean(axis=(2, 4))


@jax.jit
def count_cells(lab: Lab) -> Int[Array, "levels cells"]:
    """Return how many colors lie in each cell, per level of lightness."""
    places = levels(lab[..., 0]) * SIDE * SIDE + cells(lab)
    return jnp.bincount(places.ravel(), length=LEVELS * SIDE * SIDE).reshape(LEVELS, -1)


def count(images: Iterable[UInt8[np.ndarray, "batch height width 3"]], stride: int) -> Counts:
    """Return how many squares of `stride`×`stride` pixels have their mean color in each cell, per level."""
    total = np.zeros((LEVELS, SIDE * SIDE), np.int64)
    for batch in images:
        lab = oklab.from_srgb(jnp.asarray(batch, jnp.float32) / 255)
        total += np.asarray(count_cells(shrink(lab, stride)))
    return total


def make_chroma(counts: Counts) -> Chroma:
    """Return the bins that are not too rare, and their frequencies. Cells of rare bins go to the nearest.

    The frequencies at a level of lightness are smoothed by those of all levels, because dark and light levels
    have few pixels.
    """
    overall = counts.sum(axis=0) / counts.sum()
    kept = np.flatnonzero(overall >= RAREST)
    grid = np.stack(np.divmod(np.arange(SIDE * SIDE), SIDE), axis=-1) * SPACING - REACH
    centers = grid[kept]
    distances = np.square(grid[:, None] - centers).sum(axis=-1)
    nearest = distances.argmin(axis=1)
    per_bin = np.stack([np.bincount(nearest, row, len(kept)) for row in counts])  # [level, bin]
    frequencies = per_bin.sum(axis=0) / per_bin.sum()
    smoothed = per_bin + SMOOTHING * frequencies
    log_prior = np.log(smoothed / smoothed.sum(axis=1, keepdims=True))
    return Chroma(
        centers.astype(np.float32),
        nearest.astype(np.uint16),
        log_prior.astype(np.float32),
        frequencies.astype(np.float32),
    )


def rebalancing(frequencies: Float[np.ndarray, " bins"], power: float) -> Float[np.ndarray, " bins"]:
    """Return the weight of each bin in the loss: frequency^−power, with a mean of 1 over the pixels."""
    weights = frequencies.astype(np.float64) ** -power
    return (weights / (frequencies * weights).sum()).astype(np.float32)


def decode(
    logits: Float[Array, "*place bins"],
    centers: Float[Array, "bins 2"],
    weights: Float[Array, " bins"],
    vividness: float | Float[Array, ""],
) -> Float[Array, "*place 2"]:
    """Return a and b from the logits of a network that was trained with `weights` in its loss.

    `vividness` goes from 0, the mean color of the distribution, which has the smallest error and is pale, to
    1, its most likely color. The weights make rare colors more likely than they are: at 0 that is undone, at
    1 it is not. In between, the distribution is sharpened to the temperature 1 − vividness (annealed mean).
    """
    tilted = logits - (1 - vividness) * jnp.log(weights)
    temperature = jnp.maximum(1 - vividness, LOWEST_TEMPERATURE)
    return jax.nn.softmax(tilted / temperature, axis=-1) @ centers


def save_chroma(path: Path, chroma: Chroma) -> None:
    """Write the bins of a run."""
    write_atomically(path, lambda file: np.savez(file, allow_pickle=False, **chroma._asdict()))


def load_chroma(path: Path) -> Chroma:
    """Read the bins of a run. Raises `UserError` if the file is damaged."""
    try:
        with open(path, "rb") as file, np.load(file) as arrays:
            return Chroma(**{name: arrays[name] for name in Chroma._fields})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is damaged: {reason(error)}") from error
