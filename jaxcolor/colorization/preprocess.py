"""From uint8 images to the input of the networks."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from jaxcolor.layers import average_pool, upsample

Color = Float[Array, "batch height width 3"]


def scale(images: UInt8[Array, "batch height width 3"]) -> Color:
    """Divide pixel values by 256, from 0–255 to [0, 1), as the reference does."""
    return images.astype(jnp.float32) / 256


def gray(images: Color) -> Float[Array, "batch height width 1"]:
    """Return the plain mean of red, green and blue."""
    red, green, blue = (images[..., i : i + 1] for i in range(3))
    return (red + green + blue) / 3


def downsize(images: Color) -> Color:
    """Reduce the resolution to a quarter at the same size: average-pool by 2 twice, then upsample twice."""
    return upsample(upsample(average_pool(average_pool(images))))


def bilinear_baseline(images: Color) -> Color:
    """Return the baseline of super-resolution: the downsized image, enlarged bilinearly."""
    small = average_pool(average_pool(images))
    return jax.image.resize(small, images.shape, "bilinear")


def network_input(
    images: UInt8[Array, "batch height width 3"], downsize_input: bool
) -> Float[Array, "batch height width channel"]:
    """Return gray images to color, or color images of reduced resolution to sharpen."""
    return downsize(scale(images)) if downsize_input else gray(scale(images))
