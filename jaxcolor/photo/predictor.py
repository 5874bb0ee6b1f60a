"""Prediction: a trained network that colors photographs of any size.

The network sees few pixels. Those of the photograph are painted in parts, so that memory stays a few bytes
per pixel.
"""

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, UInt8
from PIL import Image

from jaxcolor.colored_files import ColorFile
from jaxcolor.data.image_files import Size
from jaxcolor.images import ColorImage, ImageLike, as_images
from jaxcolor.models.photo import STRIDE, PhotoNet
from jaxcolor.painting import Colors, Gray, gray_of, in_parts, lightness_of, paint
from jaxcolor.photo.chroma import CHROMA_FILE, Chroma, load_chroma
from jaxcolor.photo.config import SIDE_STEP, PhotoConfig
from jaxcolor.photo.model import build_model, check_backbone, load_backbone
from jaxcolor.photo.task import TRAINABLE, make_tables, predict_chroma
from jaxcolor.photo.upsampling import enlarge, fit
from jaxcolor.training.compilation import set_up
from jaxcolor.training.run_folder import RunFolder, Which
from jaxcolor.training.state import create_state

# How many pixels the network sees: those of the image, within these limits.
FEWEST, MOST = 128**2, 256**2
AVERAGED_SCALES = (0.7, 1.0, 1.4)  # of the sides that the network sees

LowChroma = Float[np.ndarray, "rows columns 2"]


class PhotoColorizer:
    """A trained network, as `jaxcolor.load` returns it."""

    def __init__(self, model: PhotoNet, variables: Mapping[str, Any], chroma: Chroma, config: PhotoConfig):
        self.vividness = config.vividness
        self.chroma = chroma
        self.tables = make_tables(chroma, config.rebalance)
        self.state = create_state(model.apply, dict(variables), optax.identity())
        # Without the options of `compilation.jit`: programs with oneDNN cannot be cached on disk, and the
        # first photograph would always wait for the compiler. Here they are hardly faster.
        self._predict = jax.jit(partial(predict_chroma, self.tables))

    def predict(self, images: ImageLike, vividness: float | None = None, average: bool = False) -> ColorImage:
        """Color an image, or a batch of images of one size.

        Takes a path, a Pillow image, or a uint8 array [height, width, 3] or [n, height, width, 3]. A gray
        image may also be [height, width]. Colors are taken as their lightness, which the result keeps.
        `vividness` goes from 0, safe and pale, to 1, the most likely colors; the default is that of the run.
        `average` takes the mean over several scales and the mirror image, in six times the time of the
        network. Returns a uint8 array of RGB values. Raises `ValueError` for a vividness outside of 0 to 1.
        """
        dial = self.vividness if vividness is None else vividness
        if not 0 <= dial <= 1:
            raise ValueError(f"vividness must be from 0 to 1, not {dial}")
        batch, is_one = as_images(images)
        colored = [self._color(gray_of(image), dial, average) for image in batch]
        return (colored[0] if is_one else np.stack(colored)).view(ColorImage)

    def file_writer(self, vividness: float | None = None, average: bool = False) -> ColorFile:
        """Return what `--predict` calls for each file."""
        return ColorFile(partial(self.predict, vividness=vividness, average=average))

    def _color(self, gray: Gray, vividness: float, average: bool) -> Colors:
        chroma = self._chroma(gray, vividness, average)
        guide = lightness_of(resize(gray, (STRIDE * chroma.shape[0], STRIDE * chroma.shape[1])))
        enlarged = np.concatenate([part for _, part in enlarge(chroma, guide.shape)])
        colored = np.empty((*gray.shape, 3), np.uint8)
        for rows, functions in enlarge(fit(guide, enlarged), gray.shape):
            lightness = lightness_of(gray[rows])
            painted = in_parts(paint_functions, lightness.reshape(-1), functions.reshape(-1, 4))
            colored[rows] = painted.reshape(*lightness.shape, 3)
        return colored

    def _chroma(self, gray: Gray, vividness: float, average: bool) -> LowChroma:
        """Return a and b of OKLab at the low resolution of the network's output."""
        size = network_size(gray.shape)
        views = self._views(gray, size, vividness) if average else [self._see(gray, size, vividness)]
        return np.mean([*views], axis=0)

    def _views(self, gray: Gray, size: Size, vividness: float) -> Iterator[LowChroma]:
        """Yield the chroma of several scales and of the mirror image, all of the same size."""
        rows, columns = (side // STRIDE for side in size)
        for scale in AVERAGED_SCALES:
            height, width = (max(2, round(scale * side / SIDE_STEP)) * SIDE_STEP for side in size)
            for mirror in (1, -1):
                chroma = self._see(gray[:, ::mirror], (height, width), vividness)[:, ::mirror]
                yield np.concatenate([part for _, part in enlarge(chroma, (rows, columns))])

    def _see(self, gray: Gray, size: Size, vividness: float) -> LowChroma:
        lightness = lightness_of(resize(gray, size))
        return np.asarray(self._predict(self.state, lightness[None], np.float32(vividness)))[0]


def network_size(size: Size) -> Size:
    """Return the size (height, width) at which the network sees an image.

    It has about the same proportions, sides that divide by 32, and roughly `FEWEST` to `MOST` pixels. A very
    long image is compressed along its longer side.
    """
    height, width = size
    scale = math.sqrt(min(max(height * width, FEWEST), MOST) / (height * width))
    sides = (max(2, round(side * scale / SIDE_STEP)) * SIDE_STEP for side in (height, width))
    rows, columns = sides
    return min(rows, MOST // (2 * SIDE_STEP)), min(columns, MOST // (2 * SIDE_STEP))


def resize(gray: Gray, size: Size) -> UInt8[np.ndarray, "rows columns"]:
    """Resize bilinearly, with antialiasing when the image shrinks."""
    image = Image.fromarray(gray)
    return np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR, reducing_gap=3))


def paint_functions(
    lightness: Float[Array, " pixels"], functions: Float[Array, "pixels 4"]
) -> UInt8[Array, "pixels 3"]:
    """Return sRGB colors with a lightness, and the chroma that linear functions of the lightness give."""
    return paint(lightness, functions[:, :2] * lightness[:, None] + functions[:, 2:])


def load_photo_colorizer(run: RunFolder, checkpoint: Which) -> PhotoColorizer:
    """Return the network of a run with the weights of a checkpoint, and frozen weights from their package."""
    config = PhotoConfig.from_json(run.read_config()["settings"])
    set_up(config.precision)
    chroma = load_chroma(run.path / CHROMA_FILE)
    variables = jax.tree.map(jnp.asarray, load_variables(run, checkpoint))
    return PhotoColorizer(build_model(config, len(chroma.centers)), variables, chroma, config)


def load_variables(run: RunFolder, checkpoint: Which) -> dict[str, Any]:
    """Return the variables of a run's network. Raises `UserError` if the package has other frozen weights."""
    record = run.read_config()
    config = PhotoConfig.from_json(record["settings"])
    pretrained = load_backbone(build_model(config, record["bins"]))
    check_backbone(pretrained.facts["sha256"], record["weights"]["sha256"], str(run.path))
    # Imported here, because the network that comes with jaxcolor does not need Orbax.
    from jaxcolor.training.checkpoints import Checkpoints

    with Checkpoints(run.checkpoints, TRAINABLE[config.train], config.best) as checkpoints:
        return checkpoints.restore_weights(checkpoint, pretrained.variables)
