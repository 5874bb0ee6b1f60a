"""A light pyramid decoder: features of several strides become one map of the finest stride.

Lin et al., arXiv:1612.03144, with more context at the top.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from jaxcolor.layers.conv_norm import ConvNorm, Features, Valid, identity
from jaxcolor.layers.resize import resize_bilinear


class PyramidDecoder(nn.Module):
    """Return features with `width` channels at the stride of the first of the given features.

    Takes features [batch, rows, columns, channel] of falling resolution. The coarsest ones are widened by a
    3×3 convolution, a dilated one and the mean over the image. From there on, each level is enlarged, added
    to the next finer features, and smoothed by a 3×3 convolution.
    """

    width: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, levels: Sequence[Features], *, train: bool = False, valid: Valid | None = None
    ) -> Features:
        mode: Any = {"train": train, "valid": valid}
        conv = partial(ConvNorm, self.width, dtype=self.dtype)
        *finer, coarsest = levels
        x = conv(name="top")(coarsest, **mode)
        mean = conv(name="mean")(x.mean(axis=(1, 2), keepdims=True), **mode)
        x = x + conv(3, name="near")(x, **mode) + conv(3, dilation=2, name="far")(x, **mode) + mean
        for index, features in reversed(list(enumerate(finer))):
            side = conv(activation=identity, name=f"side{index}")(features, **mode)
            x = resize_bilinear(x, (features.shape[1], features.shape[2])) + side
            x = conv(3, name=f"smooth{index}")(nn.relu(x), **mode)
        return x
