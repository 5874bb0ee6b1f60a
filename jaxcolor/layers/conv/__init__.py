"""The assignment's convolutions as Flax layers.

`plain` has their definitions. `cpu` and `strided` compute the same faster on a CPU; the tests hold them to
the definitions.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcolor.layers.conv import cpu, plain, strided
from jaxcolor.layers.portable import on_cpu
from jaxcolor.layers.resize import check_even


def uniform_by_fan_in(fan_in: int) -> nn.initializers.Initializer:
    """Initialize kernel or bias from U(−s, s) with s = 1/√fan_in, as the assignment does."""
    limit = fan_in**-0.5

    def init(key: Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -limit, limit)

    return init


class Conv2d(nn.Module):
    """Convolution with zero padding that keeps the size of the image, or with stride 2 halves it.

    Takes images [batch, height, width, channel] and returns [batch, height, width, features] in `dtype`, with
    stride 2 [batch, height / 2, width / 2, features], for which the sides must be even. `kernel_size` is odd.
    Parameters are float32; the products are computed in `dtype`. Kernel and bias start from U(−s, s) with
    s = 1/√(input channels · kernel_size²), as in the assignment, or from `initializer`.
    """

    features: int
    kernel_size: int = 3
    dilation: int = 1
    dtype: DTypeLike = jnp.float32
    stride: Literal[1, 2] = 1
    initializer: nn.initializers.Initializer | None = None

    def __call__(
        self, x: Float[Array, "batch height width channel"]
    ) -> Float[Array, "batch _ _ {self.features}"]:
        kernel, bias = self._parameters(x.shape[-1])
        return self._convolve(x, kernel, bias)

    def without_bias(
        self, x: Float[Array, "batch height width channel"]
    ) -> tuple[Float[Array, "batch _ _ {self.features}"], Float[Array, " {self.features}"]]:
        """Return the convolution without its bias, and the bias, for a BatchNorm that follows.

        See `BatchNorm`'s argument `missing_bias`.
        """
        kernel, bias = self._parameters(x.shape[-1])
        return self._convolve(x, kernel, jnp.zeros_like(bias)), bias.astype(self.dtype)

    def _convolve(self, x: Array, kernel: Array, bias: Array) -> Array:
        kernel, bias = kernel.astype(self.dtype), bias.astype(self.dtype)
        if self.stride == 2:
            check_even(x)
        is_cpu = on_cpu()
        if is_cpu and self.stride == 1:
            return cpu.conv2d(x, kernel, bias, self.dilation)
        if is_cpu and self.dilation == 1:
            return strided.conv2d(x, kernel, bias)
        return plain.conv2d(x.astype(self.dtype), kernel, bias, self.dilation, self.stride)

    @nn.compact
    def _parameters(self, in_channels: int) -> tuple[Array, Array]:
        check_odd(self.kernel_size)
        init = self.initializer or uniform_by_fan_in(in_channels * self.kernel_size**2)
        shape = (self.kernel_size, self.kernel_size, in_channels, self.features)
        return self.param("kernel", init, shape), self.param("bias", init, (self.features,))


class ConvTranspose2d(nn.Module):
    """Transposed convolution with stride 2, which doubles the size of the image, as PyTorch computes it.

    PyTorch's arguments are stride 2, padding `kernel_size // 2` and output padding 1. Takes images [batch,
    height, width, channel] and returns [batch, 2 · height, 2 · width, features] in `dtype`. `kernel_size` is
    odd. Kernel and bias start from U(−s, s) with s = 1/√(features · kernel_size²), as in PyTorch.
    """

    features: int
    kernel_size: int = 3
    dtype: DTypeLike = jnp.float32

    def __call__(
        self, x: Float[Array, "batch height width channel"]
    ) -> Float[Array, "batch 2*height 2*width {self.features}"]:
        kernel, bias = self._parameters(x.shape[-1])
        return self._convolve(x, kernel, bias)

    def without_bias(
        self, x: Float[Array, "batch height width channel"]
    ) -> tuple[Float[Array, "batch 2*height 2*width {self.features}"], Float[Array, " {self.features}"]]:
        """Return the result without the bias, and the bias, as `Conv2d.without_bias` does."""
        kernel, bias = self._parameters(x.shape[-1])
        return self._convolve(x, kernel, jnp.zeros_like(bias)), bias.astype(self.dtype)

    def _convolve(self, x: Array, kernel: Array, bias: Array) -> Array:
        kernel, bias = kernel.astype(self.dtype), bias.astype(self.dtype)
        if on_cpu():
            return strided.conv_transpose2d(x, kernel, bias)
        return plain.conv_transpose2d(x.astype(self.dtype), kernel, bias)

    @nn.compact
    def _parameters(self, in_channels: int) -> tuple[Array, Array]:
        check_odd(self.kernel_size)
        init = uniform_by_fan_in(self.features * self.kernel_size**2)
        shape = (self.kernel_size, self.kernel_size, in_channels, self.features)
        return self.param("kernel", init, shape), self.param("bias", init, (self.features,))


def check_odd(kernel_size: int) -> None:
    """Raise `ValueError` for a kernel without a middle tap."""
    if kernel_size % 2 != 1:
        raise ValueError(f"kernel_size must be odd, not {kernel_size}")
