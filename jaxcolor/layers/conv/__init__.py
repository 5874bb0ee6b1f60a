"""The assignment's convolution as a Flax layer.

`plain` has its definition. `cpu` computes the same faster on a CPU; the tests hold it to the definition.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcolor.layers.conv import cpu, plain


def uniform_by_fan_in(fan_in: int) -> nn.initializers.Initializer:
    """Initialize kernel or bias from U(−s, s) with s = 1/√fan_in, as the assignment does."""
    limit = fan_in**-0.5

    def init(key: Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -limit, limit)

    return init


class Conv2d(nn.Module):
    """Convolution with stride 1 and zero padding that keeps the size of the image.

    Takes images [batch, height, width, channel] and returns [batch, height, width, features] in `dtype`.
    `kernel_size` is odd. Parameters are float32; the products are computed in `dtype`.
    """

    features: int
    kernel_size: int = 3
    dilation: int = 1
    dtype: DTypeLike = jnp.float32

    def __call__(
        self, x: Float[Array, "batch height width channel"]
    ) -> Float[Array, "batch height width {self.features}"]:
        kernel, bias = self._parameters(x.shape[-1])
        return self._convolve(x, kernel, bias)

    def without_bias(
        self, x: Float[Array, "batch height width channel"]
    ) -> tuple[Float[Array, "batch height width {self.features}"], Float[Array, " {self.features}"]]:
        """Return the convolution without its bias, and the bias, for a BatchNorm that follows.

        See `BatchNorm`'s argument `missing_bias`.
        """
        kernel, bias = self._parameters(x.shape[-1])
        return self._convolve(x, kernel, jnp.zeros_like(bias)), bias.astype(self.dtype)

    def _convolve(self, x: Array, kernel: Array, bias: Array) -> Array:
        kernel, bias = kernel.astype(self.dtype), bias.astype(self.dtype)
        if jax.default_backend() == "cpu":
            return cpu.conv2d(x, kernel, bias, self.dilation)
        return plain.conv2d(x.astype(self.dtype), kernel, bias, self.dilation)

    @nn.compact
    def _parameters(self, in_channels: int) -> tuple[Array, Array]:
        if self.kernel_size % 2 != 1:
            raise ValueError(f"kernel_size must be odd, not {self.kernel_size}")
        init = uniform_by_fan_in(in_channels * self.kernel_size**2)
        shape = (self.kernel_size, self.kernel_size, in_channels, self.features)
        return self.param("kernel", init, shape), self.param("bias", init, (self.features,))
