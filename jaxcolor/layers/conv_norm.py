"""A convolution, its BatchNorm and its activation: what all of a DeepLabV3 is made of."""

from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcolor.layers import BatchNorm
from jaxcolor.layers.conv.atrous import convolve
from jaxcolor.layers.conv.depthwise import convolve_depthwise

ImageArray = Float[Array, "batch height width channel"]
Features = Float[Array, "_ _ _ _"]  # [batch, rows, columns, channel]
Mask = Float[Array, " batch"]


def identity(x: Array) -> Array:
    """No activation."""
    return x


class ConvNorm(nn.Module):
    """A convolution without bias, then BatchNorm, then the activation.

    With running statistics (`train=False`) BatchNorm is folded into the kernel: exactly the same but for
    rounding, with one pass over the image less. `padding` is torch's, dilation · (kernel_size // 2) on
    every side, or TensorFlow's "same", which for a stride of 2 depends on the image. `mask` [batch] leaves
    padding images out of BatchNorm's statistics.
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
    def __call__(self, x: ImageArray, *, train: bool = False, mask: Mask | None = None) -> Features:
        ins = 1 if self.depthwise else x.shape[-1]
        shape = (self.kernel_size, self.kernel_size, ins, self.features)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape)
        norm = BatchNorm(epsilon=self.epsilon, name="norm")
        conv = convolve_depthwise if self.depthwise else convolve
        padding = (self.padding_of(x.shape[1]), self.padding_of(x.shape[2]))
        x = x.astype(self.dtype)
        if train:
            x = conv(x, kernel.astype(self.dtype), self.stride, padding, self.dilation)
            return self.activation(norm(x, train=True, mask=mask))
        multiplier, shift = norm.frozen(self.features)
        kernel = (kernel * multiplier).astype(self.dtype)
        x = conv(x, kernel, self.stride, padding, self.dilation)
        return self.activation(x + shift.astype(self.dtype))

    def padding_of(self, length: int) -> tuple[int, int]:
        """Before and after the pixels of an axis."""
        reach = self.dilation * (self.kernel_size - 1)
        if self.padding == "torch":
            return reach // 2, reach // 2
        steps = -(-length // self.stride) - 1
        total = max(steps * self.stride + reach + 1 - length, 0)
        return total // 2, total - total // 2
