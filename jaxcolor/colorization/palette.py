"""The palette: the colors that pixels are classified into, float32 [colors, 3] with RGB values in 0–1."""

import contextlib
import hashlib
import warnings
import zipfile
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, UInt8
from PIL import Image, ImageDraw

from jaxcolor.errors import UserError, reason
from jaxcolor.files import cache_folder, write_atomically

Palette = Float[np.ndarray, "colors 3"]
MAX_COLORS = 256  # labels are uint8
PIXELS = 200_000  # k-means sees at most so many pixels
IMAGES_AT_ONCE = 64  # bounds the memory of `nearest_color`: 64 × 32 × 32 × 24 distances are 6 MiB


@partial(jax.jit, static_argnames="batch_size")
def nearest_color(
    images: UInt8[Array, "n height width 3"],
    palette: Float[Array, "colors 3"],
    batch_size: int = IMAGES_AT_ONCE,
) -> UInt8[Array, "n height width"]:
    """Return the index of the palette color nearest to each pixel (Euclidean distance in RGB)."""

    def of_one(image: Array) -> Array:
        difference = image[:, :, None, :].astype(jnp.float32) / 256 - palette
        return jnp.square(difference).sum(-1).argmin(-1).astype(jnp.uint8)

    return jax.lax.map(of_one, images, batch_size=batch_size)


def paint(labels: Integer[np.ndarray, "*shape"], palette: Palette) -> UInt8[np.ndarray, "*shape 3"]:
    """Return the image that has the palette's color at each label."""
    return to_bytes(palette)[labels]


def to_bytes(colors: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Convert values in 0–1 to uint8: the inverse of dividing by 256."""
    return np.clip(np.round(np.asarray(colors) * 256), 0, 255).astype(np.uint8)


def fit_palette(images: UInt8[np.ndarray, "n height width 3"], colors: int, seed: int) -> Palette:
    """Fit a palette by k-means to random pixels, ordered from dark to light.

    The same inputs give the same palette. It is cached in the user's cache folder under a hash of the
    inputs. Raises `UserError` if the images have fewer than `colors` different colors.
    """
    digest = hashlib.sha256(f"kmeans2 {images.shape} {colors} {seed}".encode())
    digest.update(images.tobytes())
    cached = cache_folder() / "palettes" / f"{digest.hexdigest()[:32]}.npy"
    try:
        return load_palette(cached)
    except UserError:
        palette = _k_means(images, colors, seed)
    with contextlib.suppress(OSError):  # without a writable cache the next run fits again
        write_atomically(cached, lambda file: np.save(file, palette))
    return palette


def _k_means(images: UInt8[np.ndarray, "n height width 3"], colors: int, seed: int) -> Palette:
    from scipy.cluster.vq import kmeans2  # imported here, because prediction does without it

    rng = np.random.default_rng(seed)
    pixels = images.reshape(-1, 3)
    pixels = pixels[rng.choice(len(pixels), min(PIXELS, len(pixels)), replace=False)]
    if (different := len(np.unique(pixels, axis=0))) < colors:
        raise UserError(f"the images have only {different} different colors: lower --colors {colors}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a cluster without pixels keeps its color
        palette, _ = kmeans2(pixels / 256, colors, minit="++", rng=rng)
    return palette[palette.sum(axis=1).argsort()].astype(np.float32)


def load_palette(path: Path) -> Palette:
    """Read a palette from a `.npy` file: [n, 3], 2 to 256 colors, values in 0–1. Raises `UserError`."""
    try:
        with open(path, "rb") as file:
            palette = np.load(file, allow_pickle=False)
    except OSError as error:
        raise UserError(f"cannot read the palette {path}: {reason(error)}") from error
    except (ValueError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} is not a plain .npy array ({reason(error)}): write one with numpy.save('palette.npy', "
            "numpy.asarray(colors, 'float32')), where colors is a list of [red, green, blue] in 0–1 (read a "
            "pickled file that you trust with numpy.load(FILE, allow_pickle=True, encoding='bytes'))"
        ) from error
    if not isinstance(palette, np.ndarray):
        raise UserError(f"the palette {path} is an archive: write a single array with numpy.save")
    if palette.ndim != 2 or palette.shape[1] != 3:
        raise UserError(
            f"the palette {path} has shape {list(palette.shape)}: it must be [n, 3], one row per color"
        )
    if not 2 <= len(palette) <= MAX_COLORS:
        raise UserError(f"the palette {path} must have 2 to {MAX_COLORS} colors, not {len(palette)}")
    if not np.issubdtype(palette.dtype, np.number) or np.iscomplexobj(palette):
        raise UserError(f"the palette {path} holds {palette.dtype} values: real numbers in 0–1 are needed")
    if not (np.isfinite(palette).all() and palette.min() >= 0 and palette.max() <= 1):
        raise UserError(f"the palette {path} has values outside 0–1: divide 8-bit values by 256")
    return palette.astype(np.float32)


def draw_palette(palette: Palette, swatch: int = 64, columns: int = 8) -> Image.Image:
    """Draw a swatch of each color, with its index."""
    rows = -(-len(palette) // columns)
    image = Image.new("RGB", (min(columns, len(palette)) * swatch, rows * swatch), "white")
    draw = ImageDraw.Draw(image)
    for index, color in enumerate(to_bytes(palette)):
        left, top = index % columns * swatch, index // columns * swatch
        draw.rectangle((left, top, left + swatch - 1, top + swatch - 1), fill=tuple(map(int, color)))
        text = "white" if color.mean() < 128 else "black"
        draw.text((left + 5, top + 3), str(index), fill=text, font_size=swatch // 4)
    return image
