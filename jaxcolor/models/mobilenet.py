"""MobileNetV3-Large as in torchvision. Its last blocks may be dilated instead of strided.

Howard et al., arXiv:1905.02244.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from jaxcolor.layers.conv_norm import ConvNorm, Features, Images, Valid, identity
from jaxcolor.models.efficientnet import round_to_8
from jaxcolor.pretrained.keys import Table, conv, conv_norm


class Block(NamedTuple):
    """An inverted residual block: the paper's table 1."""

    kernel_size: int
    expanded: int  # channels of the depthwise convolution
    features: int
    squeeze: bool  # with squeeze-and-excitation
    hard_swish: bool  # instead of ReLU
    stride: int


BLOCKS = (
    Block(3, 16, 16, False, False, 1),
    Block(3, 64, 24, False, False, 2),
    Block(3, 72, 24, False, False, 1),
    Block(5, 72, 40, True, False, 2),
    Block(5, 120, 40, True, False, 1),
    Block(5, 120, 40, True, False, 1),
    Block(3, 240, 80, False, True, 2),
    Block(3, 200, 80, False, True, 1),
    Block(3, 184, 80, False, True, 1),
    Block(3, 184, 80, False, True, 1),
    Block(3, 480, 112, True, True, 1),
    Block(3, 672, 112, True, True, 1),
    Block(5, 672, 160, True, True, 2),
    Block(5, 960, 160, True, True, 1),
    Block(5, 960, 160, True, True, 1),
)
STEM, LAST = 16, 960  # channels of the first convolution and of the last
# Blocks whose features are returned: the last ones at strides of 4 and 16, and the first at a stride of 8,
# which torchvision's LR-ASPP takes.
PYRAMID_BLOCKS = (2, 3, 11)


class SqueezeExcitation(nn.Module):
    """Multiply each channel by a factor that depends on the means of all channels over the image."""

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Images) -> Features:
        channels = x.shape[-1]
        factors = x.mean(axis=(1, 2), keepdims=True)
        factors = nn.Conv(round_to_8(channels // 4), (1, 1), dtype=self.dtype, name="reduce")(factors)
        factors = nn.Conv(channels, (1, 1), dtype=self.dtype, name="expand")(nn.relu(factors))
        return x * nn.hard_sigmoid(factors)


class InvertedResidual(nn.Module):
    """A block with a stride and dilation of its own, and a shortcut if the shapes are equal."""

    block: Block
    stride: int
    dilation: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Images, *, train: bool, valid: Valid | None = None) -> Features:
        block = self.block
        activation = nn.hard_swish if block.hard_swish else nn.relu
        conv = partial(ConvNorm, epsilon=1e-3, activation=activation, dtype=self.dtype)
        out = x
        if block.expanded != x.shape[-1]:
            out = conv(block.expanded, name="expand")(out, train=train, valid=valid)
        out = conv(
            block.expanded, block.kernel_size, self.stride, self.dilation, depthwise=True, name="depthwise"
        )(out, train=train, valid=valid)
        if block.squeeze:
            out = SqueezeExcitation(self.dtype, name="squeeze")(out)
        out = conv(block.features, activation=identity, name="project")(out, train=train, valid=valid)
        return out + x if out.shape == x.shape else out


class MobileNetV3Large(nn.Module):
    """Return the features of images [batch, height, width, 3] at strides of 4, 8, 16 and 32.

    They have 24, 40, 112 and 960 channels. No stride exceeds `output_stride`: a block that would exceed it
    doubles the dilation instead, for itself and those after it.
    """

    output_stride: int = 16
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Images, *, train: bool, valid: Valid | None = None) -> tuple[Features, ...]:
        conv = partial(ConvNorm, epsilon=1e-3, activation=nn.hard_swish, dtype=self.dtype)
        x = conv(STEM, 3, 2, name="stem")(x, train=train, valid=valid)
        reached, dilation = 2, 1
        outputs = []
        for index, block in enumerate(BLOCKS):
            stride = block.stride
            if reached * stride > self.output_stride:
                stride, dilation = 1, 2 * dilation
            reached *= stride
            residual = InvertedResidual(block, stride, dilation, self.dtype, name=f"block{index}")
            x = residual(x, train=train, valid=valid)
            outputs.append(x)
        last = conv(LAST, name="last")(x, train=train, valid=valid)
        return *(outputs[index] for index in PYRAMID_BLOCKS), last

    def keys(self) -> Table:
        """Return the keys of the weights in torchvision's segmentation networks."""
        table = conv_norm("backbone.0.0", "backbone.0.1", ("backbone", "stem"))
        channels = STEM
        for index, block in enumerate(BLOCKS):
            path = ("backbone", f"block{index}")
            expands = block.expanded != channels
            parts = ["expand"] * expands + ["depthwise"] + ["squeeze"] * block.squeeze + ["project"]
            for number, part in enumerate(parts):
                key = f"backbone.{index + 1}.block.{number}"
                if part == "squeeze":
                    table |= conv(f"{key}.fc1", (*path, part, "reduce"), bias=True)
                    table |= conv(f"{key}.fc2", (*path, part, "expand"), bias=True)
                else:
                    table |= conv_norm(f"{key}.0", f"{key}.1", (*path, part))
            channels = block.features
        number = len(BLOCKS) + 1
        return table | conv_norm(f"backbone.{number}.0", f"backbone.{number}.1", ("backbone", "last"))
