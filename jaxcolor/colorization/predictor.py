"""Prediction: a trained network that colors images of any size."""

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jaxtyping import Array

from jaxcolor.colored_files import ColorFile
from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.colorization.palette import Palette, load_palette
from jaxcolor.colorization.prior import PRIOR_FILE, LogPrior, load_prior, with_prior
from jaxcolor.colorization.task import predict_images
from jaxcolor.images import ColorImage, ImageLike, as_images
from jaxcolor.models import apply_function, build_model
from jaxcolor.painting import Colors, gray_of, with_lightness
from jaxcolor.training.checkpoints import Checkpoints
from jaxcolor.training.compilation import jit, set_up
from jaxcolor.training.run_folder import RunFolder, Which
from jaxcolor.training.state import create_state

PALETTE_FILE = "palette.npy"
STEP = 32  # the sides of images are padded to a multiple, so networks can halve them
PIXELS_PER_BATCH = 100 * 32 * 32
BATCHES_IN_FLIGHT = 8
PIXELS_AT_ONCE = 2**20  # of an image that is larger
MARGIN = 128  # rows above and below a band; a multiple of STEP


class Colorizer:
    """A trained network and its palette, as `jaxcolor.load` returns them."""

    def __init__(
        self,
        apply_fn: Callable[..., Any],
        variables: Mapping[str, Any],
        palette: Palette,
        downsize_input: bool = False,
        prior: LogPrior | None = None,
        keep_lightness: bool = True,
    ):
        """`prior` is added to the logits that `apply_fn` returns."""
        apply_fn = apply_fn if prior is None else with_prior(apply_fn, prior)
        self.palette = palette
        self.prior = prior
        self.keep_lightness = keep_lightness
        self.downsize_input = downsize_input
        self.state = create_state(apply_fn, dict(variables), optax.identity())
        self._predict = jit(
            partial(predict_images, palette=jnp.asarray(palette), downsize_input=downsize_input)
        )

    def predict(self, images: ImageLike) -> ColorImage:
        """Color an image, or a batch of images of one size.

        Takes a path, a Pillow image, or a uint8 array [height, width, 3] or [n, height, width, 3]. A
        gray image may also be [height, width]. The network sees the mean of red, green and blue; a
        super-resolution network sees all three. Returns a uint8 array of RGB values.
        """
        batch, is_one = as_images(images)
        count, height, width, _ = batch.shape
        if height * width > PIXELS_AT_ONCE:
            colored = np.stack([self._color_in_bands(image) for image in batch])
        else:
            around = [(0, 0), (0, -height % STEP), (0, -width % STEP), (0, 0)]
            padded = np.pad(batch, around, mode="edge")
            batch_size = min(count, max(1, PIXELS_PER_BATCH // (padded.shape[1] * padded.shape[2])))
            colored = in_batches(partial(self._predict, self.state), padded, batch_size)
        colored = colored[:, :height, :width]
        return (colored[0] if is_one else colored).view(ColorImage)

    def color(self, image: Colors, keep_lightness: bool = True) -> Colors:
        """Color a photograph [height, width, 3], and keep its lightness or take the palette's colors alone.

        A super-resolution network never keeps the lightness, which is a part of its result.
        """
        colored = np.asarray(self.predict(image))
        if not keep_lightness or self.downsize_input:
            return colored
        return with_lightness(gray_of(image), colored)

    def file_writer(self, keep_lightness: bool | None = None) -> ColorFile:
        """Return what `--predict` calls for each file. The default is that of the run."""
        keeps = self.keep_lightness if keep_lightness is None else keep_lightness
        return ColorFile(partial(self.color, keep_lightness=keeps), sees_colors=self.downsize_input)

    def _color_in_bands(self, image: Colors) -> Colors:
        """Color a large image in bands of rows, so that memory grows with its width alone.

        The bands overlap, and the overlap is dropped. So the rows beside a boundary are those of the whole
        image, unless the network sees farther than `MARGIN` pixels. Above and below the image the network
        sees its first and last row repeated, not zeros.
        """
        height, width, _ = image.shape
        rows = max(STEP, PIXELS_AT_ONCE // width // STEP * STEP)
        padded = np.pad(image, [(0, -height % rows), (0, -width % STEP), (0, 0)], mode="edge")
        padded = np.pad(padded, [(MARGIN, MARGIN), (0, 0), (0, 0)], mode="edge")
        colored = [
            np.asarray(self._predict(self.state, padded[None, top : top + rows + 2 * MARGIN]))[
                0, MARGIN:-MARGIN
            ]
            for top in range(0, height, rows)
        ]
        return np.concatenate(colored)[:height, :width]


def in_batches(function: Callable[[Any], Array], inputs: Array | np.ndarray, batch_size: int) -> np.ndarray:
    """Apply a compiled function to inputs in batches of one size, so that it is compiled once.

    The last batch is padded with the first inputs. Several batches are under way at a time, because a GPU
    would wait for the transfers of a single one.
    """
    batches = -(-len(inputs) // batch_size)
    indices = np.arange(batches * batch_size).reshape(batches, batch_size) % len(inputs)
    in_flight: deque[Array] = deque()
    outputs: list[np.ndarray] = []
    for rows in indices:
        in_flight.append(function(inputs[rows]))
        in_flight[-1].copy_to_host_async()
        if len(in_flight) > BATCHES_IN_FLIGHT:
            outputs.append(np.asarray(in_flight.popleft()))
    return np.concatenate([*outputs, *map(np.asarray, in_flight)])[: len(inputs)]


def build_network(config: ColorizeConfig) -> nn.Module:
    """Return the network that the settings describe."""
    defaults = ColorizeConfig().network_settings() | {"colors": None}  # every network has colors
    return build_model(config.model, config.dtype, config.network_settings(), defaults)


def load_colorizer(run: RunFolder, checkpoint: Which) -> Colorizer:
    """Return the network of a run with the weights of a checkpoint. Reads the run folder alone."""
    config = ColorizeConfig.from_json(run.read_config()["settings"])
    set_up(config.precision)
    model = build_network(config)
    example = jax.ShapeDtypeStruct((1, STEP, STEP, 3 if config.downsize_input else 1), np.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), example)
    with Checkpoints(run.checkpoints, metric=config.best) as checkpoints:
        variables = checkpoints.restore_weights(checkpoint, shapes)
    palette, prior = load_palette(run.path / PALETTE_FILE), load_prior_of(run, config)
    return Colorizer(
        apply_function(model), variables, palette, config.downsize_input, prior, config.keep_lightness
    )


def make_apply(model: nn.Module, prior: LogPrior | None) -> Callable[..., Any]:
    """Return the function from variables and inputs to logits, with the prior of the run if it has one."""
    apply_fn = apply_function(model)
    return apply_fn if prior is None else with_prior(apply_fn, prior)


def load_prior_of(run: RunFolder, config: ColorizeConfig) -> LogPrior | None:
    """Return the prior of an existing run, or None for a run without one."""
    return load_prior(run.path / PRIOR_FILE, config.colors) if config.prior == "gray" else None
