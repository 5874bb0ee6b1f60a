"""The assignment's networks: gray (or small) images in, the scores of each pixel's colors out.

A block is a convolution, then pooling or upsampling, then BatchNorm, then ReLU. Each network takes
images [batch, height, width, 1 or 3] whose sides divide by 4, and returns logits
[batch, height, width, colors]. `mask` [batch] leaves padding images out of BatchNorm's statistics.
"""

from functools import partial
from typing import Any, Literal

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.layers import BatchNorm, Conv2d, Part, Upsampled, max_pool, write_out

Images = Float[Array, "batch height width channel"]
Logits = Part  # [batch, height, width, color] once written out
Mask = Float[Array, " batch"]


class Block(nn.Module):
    """Convolution, then pooling or upsampling, then BatchNorm, then ReLU.

    Upsampling only repeats pixels, so BatchNorm and ReLU go before it: the same numbers, for a quarter
    of the work. `parts` are seen side by side: more than one make a skip connection.
    """

    features: int
    kernel_size: int = 3
    resize: Literal["halve", "keep", "double"] = "keep"
    dilation: int = 1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, *parts: Part, train: bool, mask: Mask | None = None) -> Part:
        conv = Conv2d(self.features, self.kernel_size, self.dilation, self.dtype, name="conv")
        x, bias = conv.without_bias(*parts)
        x = max_pool(x) if self.resize == "halve" else write_out(x)
        copies = 4 if self.resize == "double" else 1
        x = nn.relu(BatchNorm(copies=copies, name="norm")(x, train=train, mask=mask, shift=bias))
        return Upsampled(x) if self.resize == "double" else x


class CNN(nn.Module):
    """Five blocks and a convolution, each seeing the one before."""

    filters: int = 32
    colors: int = 24
    kernel_size: int = 3
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Images, *, train: bool, mask: Mask | None = None) -> Logits:
        check_sides(x)
        block = partial(Block, kernel_size=self.kernel_size, dtype=self.dtype)
        norm: Any = {"train": train, "mask": mask}
        out1 = block(self.filters, resize="halve", name="layer1")(x, **norm)
        out2 = block(2 * self.filters, resize="halve", name="layer2")(out1, **norm)
        out3 = block(2 * self.filters, name="layer3")(out2, **norm)
        out4 = block(self.filters, resize="double", name="layer4")(out3, **norm)
        out5 = block(self.colors, resize="double", name="layer5")(out4, **norm)
        return Conv2d(self.colors, self.kernel_size, dtype=self.dtype, name="layer6")(out5)


class UNet(nn.Module):
    """The CNN with skip connections (Ronneberger, Fischer and Brox, arXiv:1505.04597).

    Each layer on the way up also sees the layer of its own size on the way down. `dilation` spreads
    the taps of layer 3, the lowest.
    """

    filters: int = 32
    colors: int = 24
    kernel_size: int = 3
    dilation: int = 1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Images, *, train: bool, mask: Mask | None = None) -> Logits:
        check_sides(x)
        block = partial(Block, kernel_size=self.kernel_size, dtype=self.dtype)
        norm: Any = {"train": train, "mask": mask}
        out1 = block(self.filters, resize="halve", name="layer1")(x, **norm)
        out2 = block(2 * self.filters, resize="halve", name="layer2")(out1, **norm)
        out3 = block(2 * self.filters, dilation=self.dilation, name="layer3")(out2, **norm)
        out4 = block(self.filters, resize="double", name="layer4")(out2, out3, **norm)
        out5 = block(self.colors, resize="double", name="layer5")(out1, out4, **norm)
        return Conv2d(self.colors, self.kernel_size, dtype=self.dtype, name="layer6")(x, out5)


class DilatedUNet(UNet):
    """The UNet with a dilated convolution in its lowest layer (Yu and Koltun, arXiv:1511.07122)."""

    dilation: int = 2


def check_sides(x: Images) -> None:
    """Refuse images that cannot be halved twice."""
    height, width = x.shape[1:3]
    if height % 4 or width % 4:
        raise ValueError(f"images of {height}×{width} pixels: both sides must divide by 4")


def build_model(config: ColorizeConfig) -> nn.Module:
    """The network that the settings describe."""
    dtype = jnp.bfloat16 if config.precision == "bfloat16" else jnp.float32
    sizes: Any = {"filters": config.filters, "colors": config.colors, "kernel_size": config.kernel_size}
    if config.model == "cnn":
        return CNN(**sizes, dtype=dtype)
    if config.model == "unet":
        return UNet(**sizes, dtype=dtype)
    return DilatedUNet(**sizes, dilation=config.dilation, dtype=dtype)
