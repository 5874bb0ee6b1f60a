"""From uint8 images to what the networks see."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from jaxcolor.layers import average_pool, upsample

Color = Float[Array, "batch height width 3"]


def scale(images: UInt8[Array, "batch height width 3"]) -> Color:
    """Pixel values from 0–255 to [0, 1): divided by 256, as in the reference."""
    return images.astype(jnp.float32) / 256


def gray(images: Color) -> Float[Array, "batch height width 1"]:
    """The plain mean of red, green and blue."""
    red, green, blue = (images[..., i : i + 1] for i in range(3))
    return (red + green + blue) / 3


def downsize(images: Color) -> Color:
    """A quarter of the resolution at the old size: averaged by 2 twice, then every pixel repeated."""
    return upsample(upsample(average_pool(average_pool(images))))


def bilinear_baseline(images: Color) -> Color:
    """What super-resolution is compared with: the downsized image, enlarged bilinearly."""
    small = average_pool(average_pool(images))
    return jax.image.resize(small, images.shape, "bilinear")


def network_input(
    images: UInt8[Array, "batch height width 3"], downsize_input: bool
) -> Float[Array, "batch height width channel"]:
    """Gray images to be colored, or small color images to be made sharp."""
    return downsize(scale(images)) if downsize_input else gray(scale(images))
