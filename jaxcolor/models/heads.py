"""Heads of segmentation networks: from the backbone's features at several strides to a score per class.

A head takes the features of `LEVELS[name]`, of falling resolution. `features` returns the input of its last
layer, `classifier`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcolor.layers.conv_norm import ConvNorm, Features, Images, SeparableConvNorm, Valid
from jaxcolor.layers.resize import resize_bilinear
from jaxcolor.models.pyramid import PyramidDecoder

RATES = (12, 24, 36)  # of the dilated convolutions, at an output stride of 8
WIDTH = 256  # channels of DeepLabV3's heads
LOW_WIDTH = 48  # channels of DeepLabV3+'s features at a stride of 4
PYRAMID_WIDTH = 96  # channels of the pyramid's head
LRASPP_WIDTH = 128  # channels of LR-ASPP's coarse features
DROPOUT = 0.1  # of the heads of the pyramid and the FCN; that of ASPP is 0.5, as in torchvision
# Which of the backbone's features a head takes: those at strides of 4, 8, 16 and 32, or the output stride.
LEVELS = {
    "deeplabv3": (3,),
    "deeplabv3plus": (0, 3),
    "deeplabv3plus-separable": (0, 3),
    "fpn": (0, 1, 2, 3),
    "fcn": (3,),
    "lraspp": (1, 3),
}

Logits = Float[Array, "batch rows columns class"]
Levels = Sequence[Features]


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: convolutions with several dilation rates, and a mean over the image."""

    rates: tuple[int, ...]
    dtype: DTypeLike = jnp.float32
    block: type[ConvNorm | SeparableConvNorm] = ConvNorm  # of the dilated convolutions

    @nn.compact
    def __call__(self, x: Images, *, train: bool, valid: Valid | None = None) -> Features:
        conv = partial(ConvNorm, WIDTH, dtype=self.dtype)
        dilated = partial(self.block, WIDTH, 3, dtype=self.dtype)
        branches = [conv(name="conv1x1")(x, train=train, valid=valid)]
        for i, rate in enumerate(self.rates, 1):
            branches.append(dilated(dilation=rate, name=f"atrous{i}")(x, train=train, valid=valid))
        pooled = x.mean(axis=(1, 2), keepdims=True)
        pooled = conv(name="image_pooling")(pooled, train=train, valid=valid)
        branches.append(jnp.broadcast_to(pooled, branches[0].shape))
        x = conv(name="project")(jnp.concatenate(branches, axis=-1), train=train, valid=valid)
        return nn.Dropout(0.5, deterministic=not train)(x)


class DeepLabV3Head(nn.Module):
    """ASPP, a 3×3 convolution, and a score per class: torchvision's `classifier`."""

    classes: int
    rates: tuple[int, ...]
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        self.aspp = ASPP(self.rates, self.dtype)
        self.conv = ConvNorm(WIDTH, 3, dtype=self.dtype)
        self.classifier = nn.Conv(self.classes, (1, 1), dtype=self.dtype)  # torchvision's `classifier.4`

    def features(self, levels: Levels, *, train: bool, valid: Valid | None = None) -> Features:
        """Return the input of the last layer."""
        return self.conv(self.aspp(levels[-1], train=train, valid=valid), train=train, valid=valid)


class DeepLabV3PlusHead(nn.Module):
    """ASPP, enlarged to a stride of 4 and joined with the features there, and two 3×3 convolutions.

    Chen et al., arXiv:1802.02611.
    """

    classes: int
    rates: tuple[int, ...]
    dtype: DTypeLike = jnp.float32
    block: type[ConvNorm | SeparableConvNorm] = ConvNorm  # of the 3×3 convolutions

    def setup(self) -> None:
        self.aspp = ASPP(self.rates, self.dtype, self.block)
        self.low = ConvNorm(LOW_WIDTH, dtype=self.dtype)
        self.conv1 = self.block(WIDTH, 3, dtype=self.dtype)
        self.conv2 = self.block(WIDTH, 3, dtype=self.dtype)
        self.classifier = nn.Conv(self.classes, (1, 1), dtype=self.dtype)

    def features(self, levels: Levels, *, train: bool, valid: Valid | None = None) -> Features:
        """Return the input of the last layer."""
        mode: Any = {"train": train, "valid": valid}
        low = self.low(levels[0], **mode)
        high = resize_bilinear(self.aspp(levels[-1], **mode), (low.shape[1], low.shape[2]))
        return self.conv2(self.conv1(jnp.concatenate([high, low], axis=-1), **mode), **mode)


class PyramidHead(nn.Module):
    """A light pyramid decoder to a stride of 4, dropout, and a score per class."""

    classes: int
    rates: tuple[int, ...]  # not used: the decoder has its own
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        self.decoder = PyramidDecoder(PYRAMID_WIDTH, self.dtype)
        self.dropout = nn.Dropout(DROPOUT)
        self.classifier = nn.Conv(self.classes, (1, 1), dtype=self.dtype)

    def features(self, levels: Levels, *, train: bool, valid: Valid | None = None) -> Features:
        """Return the input of the last layer."""
        return self.dropout(self.decoder(levels, train=train, valid=valid), deterministic=not train)


class FCNHead(nn.Module):
    """A 3×3 convolution, dropout, and a score per class: torchvision's FCN, and its auxiliary head."""

    classes: int
    rates: tuple[int, ...]  # not used: the head has no dilated convolutions
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        self.dropout = nn.Dropout(DROPOUT)
        self.classifier = nn.Conv(self.classes, (1, 1), dtype=self.dtype)

    @nn.compact
    def features(self, levels: Levels, *, train: bool, valid: Valid | None = None) -> Features:
        """Return the input of the last layer."""
        x = levels[-1]
        x = ConvNorm(x.shape[-1] // 4, 3, dtype=self.dtype, name="conv")(x, train=train, valid=valid)
        return self.dropout(x, deterministic=not train)


class LRASPPHead(nn.Module):
    """Features whose channels are scaled by means over the image, enlarged to those at a stride of 8.

    Howard et al., arXiv:1905.02244.
    """

    classes: int
    rates: tuple[int, ...]  # not used: the head has no dilated convolutions
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        self.conv = ConvNorm(LRASPP_WIDTH, dtype=self.dtype)
        self.scale = nn.Conv(LRASPP_WIDTH, (1, 1), use_bias=False, dtype=self.dtype)
        self.classifier = LRASPPClassifier(self.classes, self.dtype)

    def features(self, levels: Levels, *, train: bool, valid: Valid | None = None) -> Features:
        """Return the input of the last layer: the finer features, then the coarser ones."""
        fine, coarse = levels
        factors = nn.sigmoid(self.scale(coarse.mean(axis=(1, 2), keepdims=True)))
        coarse = self.conv(coarse, train=train, valid=valid) * factors
        coarse = resize_bilinear(coarse, (fine.shape[1], fine.shape[2]))
        return jnp.concatenate([fine, coarse], axis=-1)


class LRASPPClassifier(nn.Module):
    """A score per class: the sum of one from the finer features and one from the coarser ones."""

    classes: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Images) -> Logits:
        conv = partial(nn.Conv, self.classes, (1, 1), dtype=self.dtype)
        return conv(name="low")(x[..., :-LRASPP_WIDTH]) + conv(name="high")(x[..., -LRASPP_WIDTH:])


HEADS: dict[str, Callable[..., Any]] = {
    "deeplabv3": DeepLabV3Head,
    "deeplabv3plus": DeepLabV3PlusHead,
    "deeplabv3plus-separable": partial(DeepLabV3PlusHead, block=SeparableConvNorm),
    "fpn": PyramidHead,
    "fcn": FCNHead,
    "lraspp": LRASPPHead,
}
