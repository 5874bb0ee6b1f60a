"""The assignment's own convolution, in its plain definition and as a layer.

`jaxcolor.layers.conv.cpu` computes the same thing faster; the tests hold it to the definition here.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcolor.layers.conv.cpu import conv2d
from jaxcolor.layers.resize import Part, write_out


def conv2d_by_shifts(
    parts: Sequence[Part],
    kernel: Float[Array, "k k in_channels out_channels"],
    bias: Float[Array, " out_channels"],
    dilation: int = 1,
) -> Float[Array, "batch height width out_channels"]:
    """The definition: every tap of the kernel sees the image shifted, and the products are summed.

    The image is the parts side by side. Beyond its border it is zero, so that the output has its size.
    """
    x = jnp.concatenate([write_out(part) for part in parts], axis=-1)
    size = kernel.shape[0]
    height, width = x.shape[1:3]
    reach = dilation * (size // 2)
    padded = jnp.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    out = bias
    for row in range(size):
        for column in range(size):
            top, left = dilation * row, dilation * column
            shifted = padded[:, top : top + height, left : left + width]
            out = out + shifted @ kernel[row, column]
    return out


def uniform_by_fan_in(fan_in: int) -> nn.initializers.Initializer:
    """U(−s, s) with s = 1/√fan_in: the assignment's initialization of kernels and biases."""
    limit = fan_in**-0.5

    def init(key: Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -limit, limit)

    return init


class Conv2d(nn.Module):
    """Convolution with stride 1 and zero padding that keeps the image's size.

    It is given one image or several to be seen side by side, as after a skip connection.
    `kernel_size` is odd, from 1 to 7. Parameters are float32; the products are computed in `dtype`.
    """

    features: int
    kernel_size: int = 3
    dilation: int = 1
    dtype: DTypeLike = jnp.float32

    def __call__(self, *parts: Part) -> Part:
        """The images' convolution [batch, height, width, features]."""
        parts, kernel, bias = self._prepare(parts)
        return conv2d(parts, kernel, bias, self.dilation)

    def without_bias(self, *parts: Part) -> tuple[Part, Float[Array, " features"]]:
        """The convolution before its bias is added, and the bias."""
        parts, kernel, bias = self._prepare(parts)
        return conv2d(parts, kernel, jnp.zeros_like(bias), self.dilation), bias

    @nn.compact
    def _prepare(self, parts: tuple[Part, ...]) -> tuple[tuple[Part, ...], Array, Array]:
        if self.kernel_size not in (1, 3, 5, 7):
            raise ValueError(f"kernel_size must be 1, 3, 5 or 7, not {self.kernel_size}")
        in_channels = sum(leaf.shape[-1] for leaf in jax.tree.leaves(parts))
        init = uniform_by_fan_in(in_channels * self.kernel_size**2)
        shape = (self.kernel_size, self.kernel_size, in_channels, self.features)
        kernel = self.param("kernel", init, shape)
        bias = self.param("bias", init, (self.features,))
        return jax.tree.map(lambda a: a.astype(self.dtype), (parts, kernel, bias))
