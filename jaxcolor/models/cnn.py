"""The assignment's CNN (its editions since 2021 call it PoolUpsampleNet)."""

from functools import partial
from typing import Any, Literal

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcolor.layers import BatchNorm, Conv2d, max_pool, upsample

Images = Float[Array, "batch height width channel"]
Logits = Float[Array, "batch height width color"]
Valid = Float[Array, " batch"]  # 1 for images, 0 for padding


class Block(nn.Module):
    """Convolution, then pooling or upsampling, then BatchNorm, then ReLU.

    Upsampling only repeats pixels. So BatchNorm and ReLU come before it here: the result is the same, for a
    quarter of the work.
    """

    features: int
    kernel_size: int = 3
    resize: Literal["halve", "keep", "double"] = "keep"
    dilation: int = 1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Images, *, train: bool, valid: Valid | None = None) -> Float[Array, "batch _ _ _"]:
        conv = Conv2d(self.features, self.kernel_size, self.dilation, self.dtype, name="conv")
        x, bias = conv.without_bias(x)
        if self.resize == "halve":
            x = max_pool(x)
        norm = BatchNorm(repeats=4 if self.resize == "double" else 1, name="norm")
        x = nn.relu(norm(x, train=train, valid=valid, missing_bias=bias))
        return upsample(x) if self.resize == "double" else x


class CNN(nn.Module):
    """Five blocks and a convolution, one after the other.

    Takes images [batch, height, width, 1 or 3] whose sides divide by 4, and returns logits [batch, height,
    width, colors]. `valid` [batch] leaves padding out of BatchNorm's statistics.
    """

    filters: int = 32
    colors: int = 24
    kernel_size: int = 3
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Images, *, train: bool = False, valid: Valid | None = None) -> Logits:
        check_sides(x)
        block = partial(Block, kernel_size=self.kernel_size, dtype=self.dtype)
        mode: Any = {"train": train, "valid": valid}
        x = block(self.filters, resize="halve", name="layer1")(x, **mode)
        x = block(2 * self.filters, resize="halve", name="layer2")(x, **mode)
        x = block(2 * self.filters, name="layer3")(x, **mode)
        x = block(self.filters, resize="double", name="layer4")(x, **mode)
        x = block(self.colors, resize="double", name="layer5")(x, **mode)
        return Conv2d(self.colors, self.kernel_size, dtype=self.dtype, name="layer6")(x)


def check_sides(x: Images, factor: int = 4) -> None:
    """Raise `ValueError` for images whose sides do not divide by `factor`."""
    height, width = x.shape[1:3]
    if height % factor or width % factor:
        raise ValueError(f"images of {height}×{width} pixels: both sides must divide by {factor}")
