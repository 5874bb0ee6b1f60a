"""Layers that the models are made of; pictures are [batch, height, width, channel]."""

from jaxcolor.layers.conv import Conv2d
from jaxcolor.layers.norm import BatchNorm
from jaxcolor.layers.resize import average_pool, max_pool, upsample

__all__ = ["BatchNorm", "Conv2d", "average_pool", "max_pool", "upsample"]
