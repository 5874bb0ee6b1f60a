"""DeepLabV3 (Chen et al., arXiv:1706.05587) in the structure of torchvision's.

Its pictures are [batch, height, width, 3], normalised as the backbone's weights want them, of any size.
A part is called with `train=False` where it is frozen: with running statistics and without dropout.
"""

from functools import partial
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcolor.segmentation.conv_norm import ConvNorm, Mask, Picture
from jaxcolor.segmentation.efficientnet import EfficientNetLite0
from jaxcolor.segmentation.resnet import BLOCKS, ResNet

Backbone = Literal["resnet50", "resnet101", "efficientnet-lite0"]
BACKBONES: tuple[Backbone, ...] = get_args(Backbone)
OutputStride = Literal[8, 16]
WIDTH = 256  # channels of the head
Logits = Float[Array, "batch rows columns class"]


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: sees each place at several distances at once, and the whole picture."""

    rates: tuple[int, ...]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Picture, *, train: bool, mask: Mask | None = None) -> Picture:
        conv = partial(ConvNorm, WIDTH, dtype=self.dtype)
        branches = [conv(name="near")(x, train=train, mask=mask)]
        for rate in self.rates:
            branches.append(conv(3, dilation=rate, name=f"rate{rate}")(x, train=train, mask=mask))
        whole = x.mean(axis=(1, 2), keepdims=True)
        whole = conv(name="whole")(whole, train=train, mask=mask)
        branches.append(jnp.broadcast_to(whole, branches[0].shape))
        x = conv(name="project")(jnp.concatenate(branches, axis=-1), train=train, mask=mask)
        return nn.Dropout(0.5, deterministic=not train)(x)


class Head(nn.Module):
    """ASPP and a 3×3 convolution, then a score for each class: torchvision's `classifier`."""

    classes: int
    rates: tuple[int, ...]
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        self.aspp = ASPP(self.rates, self.dtype)
        self.conv = ConvNorm(WIDTH, 3, dtype=self.dtype)
        self.classifier = nn.Conv(self.classes, (1, 1), dtype=self.dtype)

    def features(self, x: Picture, *, train: bool, mask: Mask | None = None) -> Picture:
        """What the last layer sees."""
        return self.conv(self.aspp(x, train=train, mask=mask), train=train, mask=mask)

    def classify(self, features: Picture) -> Logits:
        """The last layer, torchvision's `classifier.4`."""
        return self.classifier(features)

    def __call__(self, x: Picture, *, train: bool, mask: Mask | None = None) -> Logits:
        return self.classify(self.features(x, train=train, mask=mask))


class AuxiliaryHead(nn.Module):
    """A smaller head for the features of the last stage but one, for training only."""

    classes: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Picture, *, train: bool, mask: Mask | None = None) -> Logits:
        x = ConvNorm(x.shape[-1] // 4, 3, dtype=self.dtype, name="conv")(x, train=train, mask=mask)
        x = nn.Dropout(0.1, deterministic=not train)(x)
        return nn.Conv(self.classes, (1, 1), dtype=self.dtype, name="classifier")(x)


class DeepLabV3(nn.Module):
    """A backbone, and a head that classifies each of its places; `dtype` is that of the products."""

    architecture: Backbone
    classes: int
    output_stride: OutputStride = 8
    aux: bool = False
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        if self.architecture == "efficientnet-lite0":
            self.backbone = EfficientNetLite0(self.output_stride, self.dtype)
        else:
            self.backbone = ResNet(BLOCKS[self.architecture], self.output_stride, self.dtype)
        # The same distances in the picture at both strides.
        rates = tuple(rate * 8 // self.output_stride for rate in (12, 24, 36))
        self.head = Head(self.classes, rates, self.dtype)
        self.aux_head = AuxiliaryHead(self.classes, self.dtype) if self.aux else None

    def backbone_features(self, pictures: Picture, *, train: bool = False) -> Picture:
        """What the head sees, `output_stride` times smaller than the pictures."""
        return self.backbone(pictures, train=train)[1]

    def head_features(self, features: Picture, *, train: bool = False, mask: Mask | None = None) -> Picture:
        """What the last layer sees, [batch, rows, columns, 256]."""
        return self.head.features(features, train=train, mask=mask)

    def classify(self, features: Picture) -> Logits:
        """The last layer: its scores, not yet at the pictures' size."""
        return self.head.classify(features)

    def __call__(
        self, pictures: Picture, *, train: bool = False, mask: Mask | None = None
    ) -> Logits | tuple[Logits, Logits]:
        """Logits at the pictures' size; with an auxiliary head and `train` its logits, too."""
        size = pictures.shape[1:3]
        middle, last = self.backbone(pictures, train=train, mask=mask)
        logits = upsample(self.head(last, train=train, mask=mask), size)
        if self.aux_head is None or not (train or self.is_initializing()):
            return logits
        return logits, upsample(self.aux_head(middle, train=train, mask=mask), size)


def upsample(logits: Logits, size: tuple[int, ...]) -> Logits:
    """Bilinear, with half-pixel centres, in float32."""
    shape = (logits.shape[0], *size, logits.shape[-1])
    return jax.image.resize(logits.astype(jnp.float32), shape, "bilinear", antialias=False)
