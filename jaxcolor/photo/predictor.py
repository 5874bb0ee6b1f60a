"""Prediction: a trained network that colors photographs of any size, in memory that their size bounds."""

import math
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, UInt8
from PIL import Image

from jaxcolor import oklab
from jaxcolor.data.image_files import Size
from jaxcolor.images import ColorImage, ImageLike, as_images
from jaxcolor.models.photo import PhotoNet
from jaxcolor.photo.chroma import CHROMA_FILE, Chroma, load_chroma
from jaxcolor.photo.config import SIDE_STEP, PhotoConfig
from jaxcolor.photo.model import build_model, load_backbone
from jaxcolor.photo.task import TRAINABLE, make_tables, predict_chroma
from jaxcolor.photo.upsampling import PIXELS_AT_ONCE, enlarge, fit
from jaxcolor.segmentation.model import check_weights
from jaxcolor.training.checkpoints import Checkpoints, Which
from jaxcolor.training.compilation import jit, set_up
from jaxcolor.training.run_folder import RunFolder
from jaxcolor.training.state import create_state

# How many pixels the network sees: those of the image, within these limits.
FEWEST, MOST = 96**2, 256**2
HALVINGS = 6  # when chroma is reduced to what sRGB can show

Gray = UInt8[np.ndarray, "_ _"]


class PhotoColorizer:
    """A trained network, as `jaxcolor.load` returns it."""

    def __init__(self, model: PhotoNet, variables: Mapping[str, Any], chroma: Chroma, config: PhotoConfig):
        self.vividness = config.vividness
        self._state = create_state(model.apply, dict(variables), optax.identity())
        self._predict = jit(partial(predict_chroma, make_tables(chroma, config.rebalance)))
        self._paint = jit(paint)
        self._to_gray = jit(to_gray)

    def predict(self, images: ImageLike, vividness: float | None = None) -> ColorImage:
        """Color an image, or a batch of images of one size.

        Takes a path, a Pillow image, or a uint8 array [height, width, 3] or [n, height, width, 3]. A gray
        image may also be [height, width]. Colors are taken as their lightness, which the result keeps.
        `vividness` goes from 0, safe and pale, to 1, the most likely colors; the default is that of the run.
        Returns a uint8 array of RGB values. Raises `ValueError` for a vividness outside of 0 to 1.
        """
        dial = self.vividness if vividness is None else vividness
        if not 0 <= dial <= 1:
            raise ValueError(f"vividness must be from 0 to 1, not {dial}")
        batch, is_one = as_images(images)
        colored = [self._color(self._gray(image), dial) for image in batch]
        return (colored[0] if is_one else np.stack(colored)).view(ColorImage)

    def render(
        self, image: UInt8[np.ndarray, "height width 3"], vividness: float | None = None
    ) -> tuple[dict[str, Image.Image], str]:
        """Return the images that `--predict` writes, by suffix of the name, and its line on the terminal."""
        return {"": Image.fromarray(np.asarray(self.predict(image, vividness)))}, ""

    def _gray(self, image: UInt8[np.ndarray, "height width 3"]) -> Gray:
        """Return the gray pixels that have the lightness of the image's colors."""
        first = image[..., 0]
        if np.array_equal(first, image[..., 1]) and np.array_equal(first, image[..., 2]):
            return first
        pixels = image.reshape(-1, 3)
        gray = np.empty(len(pixels), np.uint8)
        for start in range(0, len(pixels), PIXELS_AT_ONCE):
            part = pixels[start : start + PIXELS_AT_ONCE]
            gray[start : start + PIXELS_AT_ONCE] = np.asarray(self._to_gray(padded(part)))[: len(part)]
        return gray.reshape(first.shape)

    def _color(self, gray: Gray, vividness: float) -> UInt8[np.ndarray, "height width 3"]:
        lightness = lightness_of_levels()
        small = lightness[resize(gray, network_size(gray.shape))]
        chroma = np.asarray(self._predict(self._state, small[None], np.float32(vividness)))[0]
        guide = lightness[resize(gray, (4 * chroma.shape[0], 4 * chroma.shape[1]))]
        enlarged = np.concatenate([part for _, part in enlarge(chroma, guide.shape)])
        functions = fit(guide, enlarged)
        colored = np.empty((*gray.shape, 3), np.uint8)
        for rows, numbers in enlarge(functions, gray.shape):
            flat = numbers.reshape(-1, 4)
            levels = gray[rows].reshape(-1)
            painted = colored[rows].reshape(-1, 3)
            for start in range(0, len(flat), PIXELS_AT_ONCE):
                part = slice(start, start + PIXELS_AT_ONCE)
                count = len(levels[part])
                pixels = self._paint(lightness[padded(levels[part])], padded(flat[part]))
                painted[part] = np.asarray(pixels)[:count]
        return colored


def padded(values: np.ndarray) -> np.ndarray:
    """Return the values, and zeros up to `PIXELS_AT_ONCE`, so that programs are compiled once."""
    return np.pad(values, [(0, PIXELS_AT_ONCE - len(values)), *[(0, 0)] * (values.ndim - 1)])


@cache
def lightness_of_levels() -> Float[np.ndarray, " 256"]:
    """Return the lightness of each gray level."""
    return oklab.lightness_of_gray(np.arange(256) / 255).astype(np.float32)


def network_size(size: Size) -> Size:
    """Return the size (height, width) at which the network sees an image.

    It has about the same proportions, sides that divide by 32, and a number of pixels within the limits.
    """
    height, width = size
    scale = math.sqrt(min(max(height * width, FEWEST), MOST) / (height * width))
    sides = (max(2, round(side * scale / SIDE_STEP)) * SIDE_STEP for side in (height, width))
    rows, columns = sides
    return min(rows, MOST // (2 * SIDE_STEP)), min(columns, MOST // (2 * SIDE_STEP))


def resize(gray: Gray, size: Size) -> Gray:
    """Resize bilinearly, with antialiasing when the image shrinks."""
    image = Image.fromarray(gray)
    return np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR, reducing_gap=3))


def to_gray(colors: UInt8[Array, "pixels 3"]) -> UInt8[Array, " pixels"]:
    """Return the gray levels that have the lightness of sRGB colors."""
    lightness = oklab.from_srgb(colors.astype(jnp.float32) / 255)[:, 0]
    return jnp.round(255 * oklab.gray(lightness)).astype(jnp.uint8)


def paint(
    lightness: Float[Array, " pixels"], functions: Float[Array, "pixels 4"]
) -> UInt8[Array, "pixels 3"]:
    """Return sRGB colors with a lightness, and the chroma that linear functions of the lightness give.

    Chroma that sRGB cannot show at that lightness is reduced until it can.
    """
    chroma = functions[:, :2] * lightness[:, None] + functions[:, 2:]

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


def load_photo_colorizer(run: RunFolder, checkpoint: Which) -> PhotoColorizer:
    """Return the network of a run with the weights of a checkpoint, and frozen weights from their package."""
    record = run.read_config()
    config = PhotoConfig.from_json(record["settings"])
    set_up(config.precision)
    chroma = load_chroma(run.path / CHROMA_FILE)
    model = build_model(config, len(chroma.centers))
    pretrained = load_backbone(model)
    check_weights(pretrained.facts, record["weights"], run.path)
    with Checkpoints(run.checkpoints, TRAINABLE[config.train]) as checkpoints:
        variables = checkpoints.restore_weights(checkpoint, pretrained.variables)
    return PhotoColorizer(model, jax.tree.map(jnp.asarray, variables), chroma, config)
