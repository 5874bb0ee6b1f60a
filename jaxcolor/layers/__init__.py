"""Layers that the models are made of; images are [batch, height, width, channel]."""

from jaxcolor.layers.conv import Conv2d
from jaxcolor.layers.losses import argmax, cross_entropy, score
from jaxcolor.layers.norm import BatchNorm
from jaxcolor.layers.resize import Part, Upsampled, average_pool, max_pool, upsample, write_out

__all__ = [
    "BatchNorm", "Conv2d", "Part", "Upsampled", "argmax", "average_pool", "cross_entropy", "max_pool",
    "score", "upsample", "write_out",
]  # fmt: skip
