"""Layers and losses for images [batch, height, width, channel]. All take and return arrays."""

from jaxcolor.layers.conv import Conv2d, ConvTranspose2d
from jaxcolor.layers.conv_norm import ConvNorm
from jaxcolor.layers.losses import argmax, cross_entropy, score
from jaxcolor.layers.norm import BatchNorm
from jaxcolor.layers.resize import average_pool, concatenate, max_pool, resize_bilinear, upsample

__all__ = [
    "BatchNorm", "Conv2d", "ConvNorm", "ConvTranspose2d", "argmax", "average_pool", "concatenate",
    "cross_entropy", "max_pool", "resize_bilinear", "score", "upsample",
]  # fmt: skip
