"""Random changes of training images, on the device: mirror images, and shifts by some pixels."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, UInt8

Inputs = Float[Array, "batch height width channel"]
Labels = UInt8[Array, "batch height width"]


def augment(key: Array, inputs: Inputs, labels: Labels, flip: bool, shift: int) -> tuple[Inputs, Labels]:
    """Mirror each image with its labels at random, and shift it by up to `shift` pixels.

    The pixels at the border are repeated where a shift uncovers pixels outside of the image.
    """
    flip_key, shift_key = jax.random.split(key)
    if flip:
        mirrored = jax.random.bernoulli(flip_key, shape=(len(inputs),))
        inputs = jnp.where(mirrored[:, None, None, None], inputs[:, :, ::-1], inputs)
        labels = jnp.where(mirrored[:, None, None], labels[:, :, ::-1], labels)
    if shift:
        corners = jax.random.randint(shift_key, (len(inputs), 2), 0, 2 * shift + 1)
        inputs, labels = (jax.vmap(partial(_crop, shift=shift))(x, corners) for x in (inputs, labels))
    return inputs, labels


def _crop(image: Array, corner: Array, shift: int) -> Array:
    """Return the part of an enlarged image that begins at `corner` and has the image's size."""
    other_axes = image.ndim - 2
    around = [(shift, shift)] * 2 + [(0, 0)] * other_axes
    enlarged = jnp.pad(image, around, mode="edge")
    return lax.dynamic_slice(enlarged, (corner[0], corner[1], *[0] * other_axes), image.shape)
