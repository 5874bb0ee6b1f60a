"""ResNets as in torchvision. The last stages may be dilated instead of strided, as in its DeepLabV3.

He et al., arXiv:1512.03385. The stride is in the 3×3 convolution, as in torchvision.
"""

from functools import partial
from typing import ClassVar

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcolor.layers.conv_norm import ConvNorm, Features, Images, Valid, identity
from jaxcolor.layers.portable import is_portable
from jaxcolor.pretrained.keys import Table, conv_norm


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with a shortcut around both."""

    CONVOLUTIONS: ClassVar = 2
    features: int
    stride: int = 1  # of the first convolution
    dilation: int = 1  # of the first convolution
    next_dilation: int = 1  # after it
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Images, *, train: bool, valid: Valid | None = None) -> Features:
        conv = partial(ConvNorm, self.features, dtype=self.dtype)
        out = conv(3, self.stride, self.dilation, name="conv1")(x, train=train, valid=valid)
        out = conv(3, 1, self.next_dilation, activation=identity, name="conv2")(out, train=train, valid=valid)
        if out.shape != x.shape:
            x = conv(1, self.stride, activation=identity, name="shortcut")(x, train=train, valid=valid)
        return nn.relu(out + x)


class Bottleneck(nn.Module):
    """1×1 convolution to fewer channels, 3×3, 1×1 to four times as many, with a shortcut around all three."""

    CONVOLUTIONS: ClassVar = 3
    features: int
    stride: int = 1  # of the 3×3 convolution
    dilation: int = 1  # of the 3×3 convolution
    next_dilation: int = 1  # after it, where it changes nothing
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Images, *, train: bool, valid: Valid | None = None) -> Features:
        conv = partial(ConvNorm, dtype=self.dtype)
        out = conv(self.features, name="conv1")(x, train=train, valid=valid)
        out = conv(self.features, 3, self.stride, self.dilation, name="conv2")(out, train=train, valid=valid)
        out = conv(4 * self.features, activation=identity, name="conv3")(out, train=train, valid=valid)
        if out.shape != x.shape:
            x = conv(4 * self.features, 1, self.stride, activation=identity, name="shortcut")(
                x, train=train, valid=valid
            )
        return nn.relu(out + x)


class ResNet(nn.Module):
    """Return the features of images [batch, height, width, 3] at strides of 4, 8, 16 and 32.

    They have 64, 128, 256 and 512 channels with basic blocks, and four times as many with bottlenecks. No
    stride exceeds `output_stride`: a stage that would exceed it doubles the dilation instead, after the
    convolution that would have the stride.
    """

    blocks: tuple[int, ...]
    output_stride: int = 8
    dtype: DTypeLike = jnp.float32
    block: type[BasicBlock | Bottleneck] = Bottleneck

    @nn.compact
    def __call__(self, x: Images, *, train: bool, valid: Valid | None = None) -> tuple[Features, ...]:
        x = ConvNorm(64, 7, stride=2, dtype=self.dtype, name="stem")(x, train=train, valid=valid)
        x = max_pool(x)
        reached, dilation = 4, 1
        stages = []
        for stage, count in enumerate(self.blocks):
            stride, first_dilation = (1 if stage == 0 else 2), dilation
            if reached * stride > self.output_stride:
                stride, dilation = 1, 2 * dilation
            reached *= stride
            for block in range(count):
                x = self.block(
                    64 * 2**stage,
                    stride if block == 0 else 1,
                    first_dilation if block == 0 else dilation,
                    dilation,
                    self.dtype,
                    name=f"layer{stage + 1}_{block}",
                )(x, train=train, valid=valid)
            stages.append(x)
        return tuple(stages)

    def keys(self) -> Table:
        """Return the keys of the weights in torchvision's segmentation networks."""
        table = conv_norm("backbone.conv1", "backbone.bn1", ("backbone", "stem"))
        for stage, count in enumerate(self.blocks, 1):
            for block in range(count):
                key, path = f"backbone.layer{stage}.{block}", ("backbone", f"layer{stage}_{block}")
                for i in range(1, self.block.CONVOLUTIONS + 1):
                    table |= conv_norm(f"{key}.conv{i}", f"{key}.bn{i}", (*path, f"conv{i}"))
                # The first basic block has as many channels as the stem, so it needs no convolution.
                if block == 0 and (stage > 1 or self.block is Bottleneck):
                    table |= conv_norm(f"{key}.downsample.0", f"{key}.downsample.1", (*path, "shortcut"))
        return table


def max_pool(x: Float[Array, "batch height width channel"]) -> Float[Array, "batch _ _ channel"]:
    """Return the maximum of 3×3 windows with stride 2 and one pixel of padding.

    The result has half of the height and width, rounded up.
    """
    if is_portable():
        return nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
    rows, columns = ((length + 1) // 2 for length in x.shape[1:3])
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-jnp.inf)
    # As maxima of shifted images: XLA's windowed reduction is many times slower on a CPU.
    x = jnp.maximum(jnp.maximum(x[:, :-2], x[:, 1:-1]), x[:, 2:])[:, : 2 * rows : 2]
    return jnp.maximum(jnp.maximum(x[:, :, :-2], x[:, :, 1:-1]), x[:, :, 2:])[:, :, : 2 * columns : 2]
