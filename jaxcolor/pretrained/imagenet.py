"""How the weights that were trained on ImageNet expect their images."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Real

# Of ImageNet's red, green and blue in 0–1. The weights of all backbones were trained with them.
MEAN = (0.485, 0.456, 0.406)
STANDARD_DEVIATION = (0.229, 0.224, 0.225)


def normalize(images: Real[Array, "batch height width 3"]) -> Float[Array, "batch height width 3"]:
    """Normalize images with values of 0–255 with the mean and standard deviation of ImageNet."""
    mean, deviation = (jnp.asarray(numbers, jnp.float32) * 255 for numbers in (MEAN, STANDARD_DEVIATION))
    return (images.astype(jnp.float32) - mean) / deviation
