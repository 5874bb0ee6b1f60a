"""The assignment's UNet, and the UNet with a dilated convolution."""

from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from jaxcolor.layers import Conv2d, concatenate
from jaxcolor.models.cnn import Block, Images, Logits, Valid, check_sides


class UNet(nn.Module):
    """The CNN with skip connections (Ronneberger, Fischer and Brox, arXiv:1505.04597).

    Each layer on the way up also sees the output of the layer of its own size on the way down. `dilation`
    applies to layer 3, the lowest. Input and output are those of `CNN`.
    """

    filters: int = 32
    colors: int = 24
    kernel_size: int = 3
    dilation: int = 1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Images, *, train: bool = False, valid: Valid | None = None) -> Logits:
        check_sides(x)
        block = partial(Block, kernel_size=self.kernel_size, dtype=self.dtype)
        mode: Any = {"train": train, "valid": valid}
        out1 = block(self.filters, resize="halve", name="layer1")(x, **mode)
        out2 = block(2 * self.filters, resize="halve", name="layer2")(out1, **mode)
        out3 = block(2 * self.filters, dilation=self.dilation, name="layer3")(out2, **mode)
        # The skip connections:
        up4 = concatenate([out2, out3])
        out4 = block(self.filters, resize="double", name="layer4")(up4, **mode)
        up5 = concatenate([out1, out4])
        out5 = block(self.colors, resize="double", name="layer5")(up5, **mode)
        up6 = concatenate([x.astype(out5.dtype), out5])
        return Conv2d(self.colors, self.kernel_size, dtype=self.dtype, name="layer6")(up6)


class DilatedUNet(UNet):
    """The UNet with a dilated convolution in its lowest layer (Yu and Koltun, arXiv:1511.07122)."""

    dilation: int = 2
