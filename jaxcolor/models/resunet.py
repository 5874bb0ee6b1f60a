"""A UNet of residual blocks: the network for good colors."""

from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcolor.layers import BatchNorm, Conv2d, concatenate, max_pool, upsample
from jaxcolor.models.cnn import Images, Logits, Valid, check_sides

LEVELS = 4


class ResidualBlock(nn.Module):
    """Two convolutions with BatchNorm, added to the input (He et al., arXiv:1512.03385)."""

    features: int
    kernel_size: int = 3
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Images, *, train: bool, valid: Valid | None = None
    ) -> Float[Array, "batch height width {self.features}"]:
        mode: Any = {"train": train, "valid": valid}
        conv = partial(Conv2d, self.features, self.kernel_size, dtype=self.dtype)
        y, bias = conv(name="conv1").without_bias(x)
        y = nn.relu(BatchNorm(name="norm1")(y, missing_bias=bias, **mode))
        y, bias = conv(name="conv2").without_bias(y)
        y = BatchNorm(name="norm2")(y, missing_bias=bias, **mode)
        if x.shape[-1] != self.features:
            x = Conv2d(self.features, kernel_size=1, dtype=self.dtype, name="shortcut")(x)
        return nn.relu(x + y)


class ResUNet(nn.Module):
    """Four levels of residual blocks with skip connections.

    Each level has half the height and width of the one above, and twice the filters. The last layer starts
    at 0, so that before training the logits are those of the prior (`--prior gray`).

    Takes images [batch, height, width, 1 or 3] whose sides divide by 8, and returns logits [batch, height,
    width, colors]. `valid` [batch] leaves padding out of BatchNorm's statistics.
    """

    filters: int = 16
    colors: int = 24
    kernel_size: int = 3
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Images, *, train: bool = False, valid: Valid | None = None) -> Logits:
        check_sides(x, 2 ** (LEVELS - 1))
        block = partial(ResidualBlock, kernel_size=self.kernel_size, dtype=self.dtype)
        mode: Any = {"train": train, "valid": valid}
        skips = []
        for level in range(1, LEVELS):
            x = block(self.filters * 2 ** (level - 1), name=f"down{level}")(x, **mode)
            skips.append(x)
            x = max_pool(x)
        x = block(self.filters * 2 ** (LEVELS - 1), name="bottom")(x, **mode)
        for level in range(LEVELS - 1, 0, -1):
            # The skip connection:
            x = concatenate([skips.pop(), upsample(x)])
            x = block(self.filters * 2 ** (level - 1), name=f"up{level}")(x, **mode)
        zeros = nn.initializers.zeros
        return Conv2d(self.colors, self.kernel_size, dtype=self.dtype, initializer=zeros, name="logits")(x)
