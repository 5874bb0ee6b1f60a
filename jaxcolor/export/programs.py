"""What is exported of a trained network: its prediction as a function of images of any size, and its facts.

The functions take uint8 RGB images [batch, height, width, 3] and hold all of the preprocessing, but no
resizing of the images.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.export import symbolic_shape
from jaxtyping import Array, Float, UInt8

from jaxcolor import oklab
from jaxcolor.colorization.predictor import STEP, Colorizer
from jaxcolor.colorization.preprocess import network_input
from jaxcolor.data.label_maps import VOID
from jaxcolor.errors import UserError, reason
from jaxcolor.layers import argmax, resize_bilinear
from jaxcolor.layers.portable import portable
from jaxcolor.models.photo import STRIDE
from jaxcolor.photo import task as photo
from jaxcolor.photo.chroma import LEVELS, decode
from jaxcolor.photo.config import SIDE_STEP
from jaxcolor.photo.predictor import FEWEST, MOST, PhotoColorizer
from jaxcolor.pretrained.imagenet import MEAN, STANDARD_DEVIATION, normalize
from jaxcolor.segmentation.predictor import Segmenter
from jaxcolor.segmentation.preprocess import STEP as SMALLEST

Model = Colorizer | PhotoColorizer | Segmenter
Images = UInt8[Array, "batch height width 3"]
Outputs = dict[str, Array]

ABOUT_IMAGES = "uint8 RGB [batch, height, width, 3]"
ABOUT_MEAN = {"mean": MEAN, "standard_deviation": STANDARD_DEVIATION, "values": "0 to 1"}


class Program(NamedTuple):
    """A prediction. `inputs` are the shapes and dtypes of its arguments, by name, in their order."""

    function: Callable[..., Outputs]
    inputs: dict[str, jax.ShapeDtypeStruct]
    facts: dict[str, Any]  # for the JSON file beside the exported one

    def arguments(self) -> tuple[jax.ShapeDtypeStruct, ...]:
        """Return the shapes and dtypes of the arguments."""
        return tuple(self.inputs.values())

    def trace(self) -> Any:
        """Return the program as `jax.jit(function).trace` does, for any device and any size."""
        try:
            with portable():
                return jax.jit(self.function).trace(*self.arguments())
        except Exception as error:  # a network of one's own may raise anything when a size is no number
            raise UserError(
                f"the network cannot be traced for images of any size ({reason(error)}): "
                "choose --to safetensors"
            ) from error


def program_of(model: Model) -> Program:
    """Return the prediction of a network that `jaxcolor.load` has returned."""
    if isinstance(model, Colorizer):
        return colorization(model)
    return photographs(model) if isinstance(model, PhotoColorizer) else segmentation(model)


def colorization(model: Colorizer) -> Program:
    """Return the prediction of palette colors, as `Colorizer.predict` computes it."""
    colors = np.round(np.asarray(model.palette) * 256).clip(0, 255).astype(np.uint8)

    def color(images: Images) -> Outputs:
        _, height, width, _ = images.shape
        inputs = network_input(repeat_edge(images, STEP), model.downsize_input)
        logits = model.state.apply_fn(model.state.averaged, inputs, train=False)
        logits = logits[:, :height, :width].astype(jnp.float32)
        labels = argmax(logits)
        colored = jnp.asarray(colors).at[labels].get(mode="promise_in_bounds")
        return {"logits": logits, "labels": labels, "colored": colored}

    facts = {
        "task": "colorize",
        "inputs": {"images": f"{ABOUT_IMAGES} of any size"},
        "outputs": {
            "logits": "float32 [batch, height, width, color]",
            "labels": "uint8 [batch, height, width]: the index of the most likely color",
            "colored": "uint8 RGB [batch, height, width, 3]: that color",
        },
        "preprocessing": {
            "padding": f"the last row and column are repeated until the sides divide by {STEP}",
            "network_input": "RGB / 256, reduced to a quarter of the resolution by means"
            if model.downsize_input
            else "the mean of red, green and blue, divided by 256",
        },
        "palette": colors.tolist(),
    }
    if model.prior is not None:
        facts["preprocessing"]["prior"] = "logits += log_prior[round(256 * network_input)]"
        facts["log_prior"] = np.asarray(model.prior).tolist()
    return Program(color, {"images": images_of("batch, height, width, 3")}, facts)


def segmentation(model: Segmenter) -> Program:
    """Return the prediction of classes for images at the size that the network sees."""

    def segment(images: Images) -> Outputs:
        _, height, width, _ = images.shape
        logits = model.state.apply_fn(model.state.averaged, normalize(images))
        logits = resize_bilinear(logits, (height, width))
        return {"logits": logits, "labels": logits.argmax(-1).astype(jnp.uint8)}

    size = model.image_size
    resizing = (
        f"height and width {size[0]} and {size[1]}"
        if len(size) == 2
        else f"{size[0]} pixels for the shorter side"
        if size
        else "the image's own size"
    )
    facts = {
        "task": "segment",
        "inputs": {"images": f"{ABOUT_IMAGES}, sides of {SMALLEST} pixels or more"},
        "outputs": {
            "logits": "float32 [batch, height, width, class]",
            "labels": "uint8 [batch, height, width]: the index of the most likely class",
        },
        "preprocessing": {
            "resizing": f"not included. jaxcolor first resizes images to {resizing}, bilinearly and with "
            "antialiasing, and enlarges the logits to the image's own size",
            "network_input": ABOUT_MEAN,
        },
        "classes": model.classes,
        "void": VOID,
    }
    limits = f"height >= {SMALLEST}", f"width >= {SMALLEST}"
    return Program(segment, {"images": images_of("batch, height, width, 3", limits)}, facts)


def photographs(model: PhotoColorizer) -> Program:
    """Return the prediction of chroma for photographs at the size that the network sees."""
    tables = model.tables

    def color(images: Images, vividness: Float[Array, ""]) -> Outputs:
        _, height, width, _ = images.shape
        lightness = photo.to_lab(images)[..., 0]
        logits = model.state.apply_fn(model.state.averaged, photo.network_input(lightness))
        logits = photo.with_prior(logits, lightness, tables.log_prior)
        chroma = decode(logits, tables.centers, tables.weights, vividness)
        large = resize_bilinear(chroma, (height, width))
        colors = oklab.to_srgb(jnp.concatenate([lightness[..., None], large], axis=-1))
        colored = jnp.round(255 * colors.clip(0, 1)).astype(jnp.uint8)
        return {"logits": logits, "chroma": chroma, "colored": colored}

    low = f"[batch, height / {STRIDE}, width / {STRIDE}"
    facts = {
        "task": "photo",
        "inputs": {
            "images": f"{ABOUT_IMAGES}; height and width divide by {SIDE_STEP}",
            "vividness": f"float32 []: from 0, pale, to 1, vivid; jaxcolor's default is {model.vividness}",
        },
        "outputs": {
            "logits": f"float32 {low}, bin]",
            "chroma": f"float32 {low}, 2]: a and b of OKLab",
            "colored": "uint8 RGB [batch, height, width, 3]: the lightness of the image, and the chroma "
            "enlarged bilinearly. jaxcolor itself enlarges it along the edges of the lightness (guided "
            "filter), to the photograph's own size",
        },
        "preprocessing": {
            "resizing": f"not included. jaxcolor first resizes images to {FEWEST} to {MOST} pixels",
            "lightness": "L of OKLab",
            "network_input": ABOUT_MEAN | {"channels": "three times the gray value in sRGB of the lightness"},
            "prior": f"logits += log_prior[floor({LEVELS} * mean lightness of {STRIDE}x{STRIDE} pixels)]",
        },
        "centers": np.asarray(tables.centers).tolist(),
        "weights": np.asarray(tables.weights).tolist(),
        "log_prior": np.asarray(tables.log_prior).tolist(),
    }
    inputs = {
        "images": images_of(f"batch, {SIDE_STEP}*height, {SIDE_STEP}*width, 3"),
        "vividness": jax.ShapeDtypeStruct((), np.float32),
    }
    return Program(color, inputs, facts)


def images_of(shape: str, constraints: tuple[str, ...] = ()) -> jax.ShapeDtypeStruct:
    """Return the shape and dtype of images. `shape` names the sizes that are not known."""
    return jax.ShapeDtypeStruct(symbolic_shape(shape, constraints=constraints), np.uint8)


def repeat_edge(images: Images, step: int) -> UInt8[Array, "batch _ _ 3"]:
    """Repeat the last row and the last column of images until both sides divide by `step`."""
    height, width = images.shape[1:3]
    rows, columns = (
        jnp.minimum(jnp.arange(-(-length // step) * step), length - 1) for length in (height, width)
    )
    images = images.at[:, rows].get(mode="promise_in_bounds")
    return images.at[:, :, columns].get(mode="promise_in_bounds")
