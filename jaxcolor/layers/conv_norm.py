"""Convolution, BatchNorm and activation: the blocks that segmentation networks consist of."""

from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcolor.layers.conv.general import convolve, convolve_depthwise
from jaxcolor.layers.norm import BatchNorm
from jaxcolor.layers.portable import Length

Images = Float[Array, "batch height width channel"]
Features = Float[Array, "_ _ _ _"]  # [batch, rows, columns, channel]
Valid = Float[Array, " batch"]  # 1 for images, 0 for padding


def identity(x: Array) -> Array:
    """Apply no activation."""
    return x


class ConvNorm(nn.Module):
    """Convolution without bias, then BatchNorm, then the activation.

    With running averages (`train=False`) BatchNorm is folded into the kernel, which is exact up to rounding
    and saves one pass over the image. `padding` is PyTorch's, dilation · (kernel_size // 2) on every side, or
    TensorFlow's "same", which depends on the image's size if the stride is 2.
    """

    features: int
    kernel_size: int = 1
    stride: int = 1
    dilation: int = 1
    depthwise: bool = False
    padding: Literal["torch", "same"] = "torch"
    epsilon: float = 1e-5
    activation: Callable[[Array], Array] = nn.relu
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Images, *, train: bool = False, valid: Valid | None = None) -> Features:
        in_channels = 1 if self.depthwise else x.shape[-1]
        shape = (self.kernel_size, self.kernel_size, in_channels, self.features)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape)
        norm = BatchNorm(epsilon=self.epsilon, name="norm")
        conv = convolve_depthwise if self.depthwise else convolve
        padding = (self.padding_before_and_after(x.shape[1]), self.padding_before_and_after(x.shape[2]))
        x = x.astype(self.dtype)
        if train:
            x = conv(x, kernel.astype(self.dtype), self.stride, padding, self.dilation)
            return self.activation(norm(x, train=True, valid=valid))
        multiplier, shift = norm.multiplier_and_shift(self.features)
        kernel = (kernel * multiplier).astype(self.dtype)
        x = conv(x, kernel, self.stride, padding, self.dilation)
        return self.activation(x + shift.astype(self.dtype))

    def padding_before_and_after(self, length: Length) -> tuple[Length, Length]:
        """Return the padding before and after the pixels of an axis."""
        reach = self.dilation * (self.kernel_size - 1)
        if self.padding == "torch":
            return reach // 2, reach // 2
        total = max(reach + 1 - self.stride + -length % self.stride, 0)
        return total // 2, total - total // 2


class SeparableConvNorm(nn.Module):
    """A convolution of each channel by itself, then a 1×1 convolution over the channels.

    BatchNorm and ReLU follow each of them. For 256 channels and a 3×3 kernel that is a ninth of the
    multiplications of `ConvNorm`. The stride is 1. Source: Chen et al., arXiv:1802.02611.
    """

    features: int
    kernel_size: int
    dilation: int = 1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Images, *, train: bool = False, valid: Valid | None = None) -> Features:
        each = ConvNorm(
            x.shape[-1], self.kernel_size, dilation=self.dilation, depthwise=True, dtype=self.dtype,
            name="depthwise",
        )  # fmt: skip
        across = ConvNorm(self.features, dtype=self.dtype, name="pointwise")
        return across(each(x, train=train, valid=valid), train=train, valid=valid)
