"""The palette: the colours that pixels are classified into, float32 [colors, 3] with values in 0–1."""

import contextlib
import hashlib
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
PICTURES_AT_ONCE = 64  # bounds the memory of `nearest_color`: 64 × 32 × 32 × 24 distances are 6 MiB
MAX_COLORS = 256  # labels are uint8


@partial(jax.jit, static_argnames="batch_size")
def nearest_color(
    pictures: UInt8[Array, "n height width 3"],
    palette: Float[Array, "colors 3"],
    batch_size: int = PICTURES_AT_ONCE,
) -> UInt8[Array, "n height width"]:
    """The index of the palette's colour nearest to each pixel (Euclidean, in RGB)."""

    def of_one(picture: Array) -> Array:
        difference = picture[:, :, None, :].astype(jnp.float32) / 256 - palette
        return jnp.square(difference).sum(-1).argmin(-1).astype(jnp.uint8)

    return jax.lax.map(of_one, pictures, batch_size=batch_size)


def paint(labels: Integer[np.ndarray, "*shape"], palette: Palette) -> UInt8[np.ndarray, "*shape 3"]:
    """The picture whose pixels have the palette's colours."""
    return to_bytes(palette)[labels]


def to_bytes(colors: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Values in 0–1 as uint8: the inverse of dividing by 256."""
    return np.clip(np.round(np.asarray(colors) * 256), 0, 255).astype(np.uint8)


def fit_palette(pictures: UInt8[np.ndarray, "n height width 3"], colors: int, seed: int) -> Palette:
    """K-means over all pixels, from dark to light; the same inputs give the same palette, bit for bit.

    The result is kept in the user's cache folder under a hash of the inputs.
    """
    digest = hashlib.sha256(f"palette 1 {pictures.shape} {colors} {seed}".encode())
    digest.update(np.ascontiguousarray(pictures))
    cached = cache_folder() / "palettes" / f"{digest.hexdigest()[:32]}.npy"
    try:
        return load_palette(cached)
    except UserError:
        palette = _k_means(pictures, colors, seed)
    with contextlib.suppress(OSError):  # a cache that cannot be written costs the next run a second
        write_atomically(cached, lambda file: np.save(file, palette))
    return palette


def _k_means(pictures: UInt8[np.ndarray, "n height width 3"], colors: int, seed: int) -> Palette:
    # Imported here: they take a second, and a cached palette does without.
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    # Equal pixels are one point with a weight: exact, and several times faster.
    red, green, blue = pictures.reshape(-1, 3).astype(np.int64).T
    counts = np.bincount((red << 16) | (green << 8) | blue)
    codes = counts.nonzero()[0]
    if len(codes) < colors:
        raise UserError(f"the pictures have only {len(codes)} different colours: lower --colors {colors}")
    pixels = np.stack([codes >> 16, (codes >> 8) & 255, codes & 255], axis=1) / 256
    # One thread, because the order in which several add up is not fixed.
    with threadpool_limits(1):
        k_means = KMeans(colors, n_init=1, random_state=seed).fit(pixels, sample_weight=counts[codes])
    palette = k_means.cluster_centers_.astype(np.float32)
    return palette[palette.sum(axis=1).argsort()]


def load_palette(path: Path) -> Palette:
    """A palette of one's own from a `.npy` file: [n, 3], 2 to 256 colours, values in 0–1."""
    try:
        palette = np.load(path, allow_pickle=False)
    except OSError as error:
        raise UserError(f"cannot read the palette {path}: {reason(error)}") from error
    except (ValueError, EOFError) as error:
        raise UserError(
            f"{path} is not a plain .npy array ({reason(error)}): convert it once with "
            "numpy.save('palette.npy', numpy.asarray(colors, dtype='float32')), "
            "where colors is a list of [red, green, blue] in 0–1"
        ) from error
    if not isinstance(palette, np.ndarray) or palette.ndim != 2 or palette.shape[1] != 3:
        shape = list(palette.shape) if isinstance(palette, np.ndarray) else "an archive"
        raise UserError(f"the palette {path} has shape {shape}: it must be [n, 3], a row a colour")
    if not 2 <= len(palette) <= MAX_COLORS:
        raise UserError(f"the palette {path} has {len(palette)} colours: 2 to {MAX_COLORS} are possible")
    if not np.issubdtype(palette.dtype, np.number) or np.iscomplexobj(palette):
        raise UserError(f"the palette {path} holds {palette.dtype} values: real numbers in 0–1 are needed")
    if not (np.isfinite(palette).all() and palette.min() >= 0 and palette.max() <= 1):
        raise UserError(f"the palette {path} has values outside 0–1: divide 8-bit values by 256")
    return palette.astype(np.float32)


def draw_palette(palette: Palette, swatch: int = 64, columns: int = 8) -> Image.Image:
    """Swatches of all colours, each with its index."""
    rows = -(-len(palette) // columns)
    picture = Image.new("RGB", (min(columns, len(palette)) * swatch, rows * swatch), "white")
    draw = ImageDraw.Draw(picture)
    for index, color in enumerate(to_bytes(palette)):
        left, top = index % columns * swatch, index // columns * swatch
        draw.rectangle((left, top, left + swatch - 1, top + swatch - 1), fill=tuple(map(int, color)))
        text = "white" if color.mean() < 128 else "black"
        draw.text((left + 5, top + 3), str(index), fill=text, font_size=swatch // 4)
    return picture
