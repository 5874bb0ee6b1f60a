"""EfficientNet-Lite0, whose last stages may be dilated instead of strided.

Tan and Le, arXiv:1905.11946; the Lite models have neither squeeze-and-excitation nor swish
(github.com/tensorflow/tpu, models/official/efficientnet/lite).
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from jaxcolor.layers.conv_norm import ConvNorm, Features, ImageArray, Mask, identity


class Stage(NamedTuple):
    """So many blocks alike; the first one has the stride."""

    blocks: int
    kernel_size: int
    stride: int
    expansion: int
    features: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
AUXILIARY_STAGE = 4  # the last one before the stride of 32


class InvertedBottleneck(nn.Module):
    """1×1 to more channels, a depthwise convolution, 1×1 to few; a shortcut where shapes allow."""

    features: int
    kernel_size: int
    stride: int
    expansion: int
    dilation: int = 1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: ImageArray, *, train: bool, mask: Mask | None = None) -> Features:
        conv = partial(ConvNorm, padding="same", epsilon=1e-3, activation=nn.relu6, dtype=self.dtype)
        wide = self.expansion * x.shape[-1]
        out = conv(wide, name="expand")(x, train=train, mask=mask) if self.expansion > 1 else x
        out = conv(wide, self.kernel_size, self.stride, self.dilation, depthwise=True, name="depthwise")(
            out, train=train, mask=mask
        )
        out = conv(self.features, activation=identity, name="project")(out, train=train, mask=mask)
        return out + x if out.shape == x.shape and self.stride == 1 else out


class EfficientNetLite0(nn.Module):
    """Images [batch, height, width, 3] to features of stages 5 and 7, of 112 and 320 channels.

    They are `output_stride` times smaller: where a stage does not halve the image its taps, but for
    those of its first block, lie twice as far apart instead.
    """

    output_stride: int = 16
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: ImageArray, *, train: bool, mask: Mask | None = None) -> tuple[Features, Features]:
        conv = partial(ConvNorm, padding="same", epsilon=1e-3, activation=nn.relu6, dtype=self.dtype)
        x = conv(32, 3, stride=2, name="stem")(x, train=train, mask=mask)
        reached, dilation, index = 2, 1, 0
        stages = []
        for stage in STAGES:
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
                )(x, train=train, mask=mask)
                index += 1
            stages.append(x)
        return stages[AUXILIARY_STAGE], stages[-1]
