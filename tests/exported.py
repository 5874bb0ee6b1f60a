"""Networks with random weights as `jaxcolor.load` returns them, for tests of exports."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jaxcolor.colorization.predictor import Colorizer
from jaxcolor.models import MODELS, SegmentationNet, apply_function
from jaxcolor.photo.chroma import LEVELS, Chroma
from jaxcolor.photo.config import PhotoConfig
from jaxcolor.photo.model import build_model
from jaxcolor.photo.predictor import PhotoColorizer
from jaxcolor.segmentation.predictor import Segmenter

CLASSES = ("sky", "tree", "house")
BINS = 5


def random_variables(model: nn.Module, channels: int = 3) -> dict[str, Any]:
    """Return variables such as those of a trained network: every layer's output has a variance of about 1."""
    rng = np.random.default_rng(0)

    def leaf(path: tuple[Any, ...], like: Any) -> jax.Array:
        name = path[-1].key
        if name == "kernel":
            values = rng.normal(0, (2 / np.prod(like.shape[:-1])) ** 0.5, like.shape)
        elif name in ("scale", "variance"):
            values = rng.uniform(0.8, 1.2, like.shape)
        else:
            values = rng.normal(0, 0.1, like.shape)
        return jnp.asarray(values, jnp.float32)

    example = jax.ShapeDtypeStruct((1, 64, 64, channels), jnp.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), example)
    return dict(jax.tree_util.tree_map_with_path(leaf, shapes))


def colorizer(name: str, downsize_input: bool = False, prior: bool = False, **fields: Any) -> Colorizer:
    """Return a small colorization network with a random palette."""
    colors = 6
    model = MODELS[name](**{"filters": 4, "colors": colors, **fields})
    rng = np.random.default_rng(1)
    table = rng.normal(0, 0.5, (256, colors)).astype(np.float32) if prior else None
    palette = rng.uniform(0, 1, (colors, 3)).astype(np.float32)
    variables = random_variables(model, 3 if downsize_input else 1)
    return Colorizer(apply_function(model), variables, palette, downsize_input, table)


def segmenter(backbone: str, head: str, stride: int, dtype: Any = jnp.float32) -> Segmenter:
    """Return a segmentation network that sees images at their own size."""
    model = SegmentationNet(backbone, len(CLASSES), stride, False, dtype, head)
    return Segmenter(model, random_variables(model), CLASSES, ())


def photo_colorizer() -> PhotoColorizer:
    """Return a small network for photographs."""
    rng = np.random.default_rng(2)
    shares = rng.dirichlet(np.ones(BINS), LEVELS).astype(np.float32)
    chroma = Chroma(
        rng.uniform(-0.1, 0.1, (BINS, 2)).astype(np.float32),
        np.zeros(625, np.uint16),
        np.log(shares),
        np.full(BINS, 1 / BINS, np.float32),
    )
    config = PhotoConfig(width=8)
    model = build_model(config, BINS)
    return PhotoColorizer(model, random_variables(model), chroma, config)


def random_images(count: int, height: int, width: int) -> np.ndarray:
    """Return smooth uint8 images, as photographs are."""
    rng = np.random.default_rng(height)
    noise = rng.uniform(0, 255, (count, height // 8 + 2, width // 8 + 2, 3))
    large = noise.repeat(8, axis=1).repeat(8, axis=2)
    return large[:, 3 : 3 + height, 5 : 5 + width].astype(np.uint8)
