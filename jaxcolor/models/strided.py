"""The networks of the assignment's editions since 2021, with strided and transposed convolutions."""

from functools import partial
from typing import Any, Literal

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcolor.layers import BatchNorm, Conv2d, ConvTranspose2d, concatenate
from jaxcolor.models.cnn import Images, Logits, Valid, check_sides


class StridedBlock(nn.Module):
    """Convolution with stride 2 or its transpose, then BatchNorm, then ReLU."""

    features: int
    kernel_size: int = 3
    resize: Literal["halve", "double"] = "halve"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Images, *, train: bool, valid: Valid | None = None) -> Float[Array, "batch _ _ _"]:
        if self.resize == "halve":
            conv: Any = Conv2d(self.features, self.kernel_size, stride=2, dtype=self.dtype, name="conv")
        else:
            conv = ConvTranspose2d(self.features, self.kernel_size, self.dtype, name="conv")
        x, bias = conv.without_bias(x)
        return nn.relu(BatchNorm(name="norm")(x, train=train, valid=valid, missing_bias=bias))


class ConvTransposeNet(nn.Module):
    """Two strided and two transposed convolutions and a convolution, one after the other.

    Input and output are those of `CNN`.
    """

    filters: int = 32
    colors: int = 24
    kernel_size: int = 3
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Images, *, train: bool = False, valid: Valid | None = None) -> Logits:
        check_sides(x)
        block = partial(StridedBlock, kernel_size=self.kernel_size, dtype=self.dtype)
        mode: Any = {"train": train, "valid": valid}
        x = block(self.filters, name="layer1")(x, **mode)
        x = block(2 * self.filters, name="layer2")(x, **mode)
        x = block(self.filters, resize="double", name="layer3")(x, **mode)
        x = block(self.colors, resize="double", name="layer4")(x, **mode)
        return Conv2d(self.colors, self.kernel_size, dtype=self.dtype, name="layer5")(x)


class StridedUNet(nn.Module):
    """`ConvTransposeNet` with skip connections: each layer on the way up also sees the input of its size."""

    filters: int = 32
    colors: int = 24
    kernel_size: int = 3
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Images, *, train: bool = False, valid: Valid | None = None) -> Logits:
        check_sides(x)
        block = partial(StridedBlock, kernel_size=self.kernel_size, dtype=self.dtype)
        mode: Any = {"train": train, "valid": valid}
        out1 = block(self.filters, name="layer1")(x, **mode)
        out2 = block(2 * self.filters, name="layer2")(out1, **mode)
        out3 = block(self.filters, resize="double", name="layer3")(out2, **mode)
        # The skip connections:
        up4 = concatenate([out1, out3])
        out4 = block(self.colors, resize="double", name="layer4")(up4, **mode)
        up5 = concatenate([x.astype(out4.dtype), out4])
        return Conv2d(self.colors, self.kernel_size, dtype=self.dtype, name="layer5")(up5)
