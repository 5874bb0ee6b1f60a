"""From uint8 pictures to what the networks see."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from jaxcolor.layers import average_pool, upsample

Color = Float[Array, "batch height width 3"]


def scale(pictures: UInt8[Array, "batch height width 3"]) -> Color:
    """Pixel values from 0–255 to [0, 1): divided by 256, as in the reference."""
    return pictures.astype(jnp.float32) / 256


def gray(pictures: Color) -> Float[Array, "batch height width 1"]:
    """The plain mean of red, green and blue."""
    red, green, blue = (pictures[..., i : i + 1] for i in range(3))
    return (red + green + blue) / 3


def downsize(pictures: Color) -> Color:
    """A quarter of the resolution at the old size: averaged by 2 twice, then every pixel repeated."""
    return upsample(upsample(average_pool(average_pool(pictures))))


def bilinear_baseline(pictures: Color) -> Color:
    """What super-resolution is compared with: the downsized picture, enlarged bilinearly."""
    small = average_pool(average_pool(pictures))
    return jax.image.resize(small, pictures.shape, "bilinear")


def network_input(
    pictures: UInt8[Array, "batch height width 3"], downsize_input: bool
) -> Float[Array, "batch height width channel"]:
    """Grey pictures to be coloured, or small colour pictures to be made sharp."""
    return downsize(scale(pictures)) if downsize_input else gray(scale(pictures))
