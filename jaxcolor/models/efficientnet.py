"""EfficientNet-Lite. The last stages may be dilated instead of strided.

Tan and Le, arXiv:1905.11946. The Lite models have neither squeeze-and-excitation nor swish
(github.com/tensorflow/tpu, models/official/efficientnet/lite).
"""

import math
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from jaxcolor.layers.conv_norm import ConvNorm, Features, Images, Valid, identity
from jaxcolor.pretrained.keys import Table, conv_norm


class Stage(NamedTuple):
    """A number of equal blocks. Only the first one has the stride."""

    blocks: int
    kernel_size: int
    stride: int
    expansion: int
    features: int


STAGES = (  # of EfficientNet-Lite0
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
PYRAMID_STAGES = (1, 2, 4, 6)  # the last stages at strides of 4, 8, 16 and 32


def scaled_stages(width: float, depth: float) -> tuple[Stage, ...]:
    """Return `STAGES` with `width` times the features, in steps of 8, and `depth` times the blocks.

    The first stage and the last keep their single block.
    """
    first, *middle, last = (stage._replace(features=round_to_8(width * stage.features)) for stage in STAGES)
    return first, *(stage._replace(blocks=math.ceil(depth * stage.blocks)) for stage in middle), last


def round_to_8(features: float) -> int:
    """Return the nearest multiple of 8, or the next one if that is more than 10 % too small."""
    rounded = int(features + 4) // 8 * 8
    return rounded if rounded >= 0.9 * features else rounded + 8


class InvertedBottleneck(nn.Module):
    """1×1 convolution to more channels, a depthwise one, 1×1 to fewer; a shortcut if the shapes are equal."""

    features: int
    kernel_size: int
    stride: int
    expansion: int
    dilation: int = 1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Images, *, train: bool, valid: Valid | None = None) -> Features:
        conv = partial(ConvNorm, padding="same", epsilon=1e-3, activation=nn.relu6, dtype=self.dtype)
        wide = self.expansion * x.shape[-1]
        out = conv(wide, name="expand")(x, train=train, valid=valid) if self.expansion > 1 else x
        out = conv(wide, self.kernel_size, self.stride, self.dilation, depthwise=True, name="depthwise")(
            out, train=train, valid=valid
        )
        out = conv(self.features, activation=identity, name="project")(out, train=train, valid=valid)
        return out + x if out.shape == x.shape and self.stride == 1 else out


class EfficientNetLite(nn.Module):
    """Return the features of images [batch, height, width, 3] at strides of 4, 8, 16 and 32.

    They have 24, 40, 112 and 320 channels if the width is 1. No stride exceeds `output_stride`: a stage that
    would exceed it doubles the dilation instead, from its second block on.
    """

    output_stride: int = 16
    dtype: DTypeLike = jnp.float32
    width: float = 1.0  # features, as a multiple of those of EfficientNet-Lite0
    depth: float = 1.0  # blocks, likewise

    @nn.compact
    def __call__(self, x: Images, *, train: bool, valid: Valid | None = None) -> tuple[Features, ...]:
        conv = partial(ConvNorm, padding="same", epsilon=1e-3, activation=nn.relu6, dtype=self.dtype)
        x = conv(32, 3, stride=2, name="stem")(x, train=train, valid=valid)
        reached, dilation, index = 2, 1, 0
        stages = []
        for stage in scaled_stages(self.width, self.depth):
            stride, first_dilation = stage.stride, dilation
            if reached * stride > self.output_stride:
                stride, dilation = 1, 2 * dilation
            reached *= stride
            for block in range(stage.blocks):
                x = InvertedBottleneck(
                    stage.features,
                    stage.kernel_size,
                    stride if block == 0 else 1,
                    stage.expansion,
                    first_dilation if block == 0 else dilation,
                    self.dtype,
                    name=f"block{index}",
                )(x, train=train, valid=valid)
                index += 1
            stages.append(x)
        return tuple(stages[index] for index in PYRAMID_STAGES)

    def keys(self) -> Table:
        """Return the keys of the weights in the package efficientnet-lite-pytorch."""
        table = conv_norm("_conv_stem", "_bn0", ("backbone", "stem"))
        index = 0
        for stage in scaled_stages(self.width, self.depth):
            for _ in range(stage.blocks):
                key, path = f"_blocks.{index}", ("backbone", f"block{index}")
                if stage.expansion > 1:
                    table |= conv_norm(f"{key}._expand_conv", f"{key}._bn0", (*path, "expand"))
                table |= conv_norm(f"{key}._depthwise_conv", f"{key}._bn1", (*path, "depthwise"))
                table |= conv_norm(f"{key}._project_conv", f"{key}._bn2", (*path, "project"))
                index += 1
        return table
