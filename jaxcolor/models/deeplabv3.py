"""DeepLabV3 (Chen et al., arXiv:1706.05587) with the structure of torchvision's.

Images are [batch, height, width, 3] of any size, normalized as the backbone's weights expect.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcolor.layers.conv_norm import ConvNorm, Features, Images, Valid
from jaxcolor.models.efficientnet import EfficientNetLite0
from jaxcolor.models.resnet import RESNET_BLOCKS, ResNet


class Backbone(NamedTuple):
    """How to build a backbone from its output stride and dtype, and the stride by default."""

    build: Callable[[int, DTypeLike], nn.Module]
    output_stride: int


# The choices of `--backbone`. `jaxcolor.pretrained.deeplabv3.SOURCES` has their weights.
BACKBONES = {
    "resnet50": Backbone(partial(ResNet, RESNET_BLOCKS["resnet50"]), 8),
    "resnet101": Backbone(partial(ResNet, RESNET_BLOCKS["resnet101"]), 8),
    "efficientnet-lite0": Backbone(EfficientNetLite0, 16),
}
RATES = (12, 24, 36)  # of the dilated convolutions, at an output stride of 8
WIDTH = 256  # channels of the head
Part = Literal["last", "head", "all"]  # the last layer; everything after the backbone; everything
Stage = Literal["images", "backbone", "head"]  # the network's input, or the features after a part
Logits = Float[Array, "batch rows columns class"]


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: convolutions with several dilation rates, and a mean over the image."""

    rates: tuple[int, ...]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Images, *, train: bool, valid: Valid | None = None) -> Features:
        conv = partial(ConvNorm, WIDTH, dtype=self.dtype)
        branches = [conv(name="conv1x1")(x, train=train, valid=valid)]
        for i, rate in enumerate(self.rates, 1):
            branches.append(conv(3, dilation=rate, name=f"atrous{i}")(x, train=train, valid=valid))
        pooled = x.mean(axis=(1, 2), keepdims=True)
        pooled = conv(name="image_pooling")(pooled, train=train, valid=valid)
        branches.append(jnp.broadcast_to(pooled, branches[0].shape))
        x = conv(name="project")(jnp.concatenate(branches, axis=-1), train=train, valid=valid)
        return nn.Dropout(0.5, deterministic=not train)(x)


class Head(nn.Module):
    """ASPP, a 3×3 convolution, and a score per class: torchvision's `classifier`."""

    classes: int
    rates: tuple[int, ...]
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        self.aspp = ASPP(self.rates, self.dtype)
        self.conv = ConvNorm(WIDTH, 3, dtype=self.dtype)
        self.classifier = nn.Conv(self.classes, (1, 1), dtype=self.dtype)  # torchvision's `classifier.4`

    def __call__(self, x: Images, *, train: bool, valid: Valid | None = None) -> Logits:
        return self.classifier(self.features(x, train=train, valid=valid))

    def features(self, x: Images, *, train: bool, valid: Valid | None = None) -> Features:
        """Return the input of the last layer."""
        return self.conv(self.aspp(x, train=train, valid=valid), train=train, valid=valid)


class AuxiliaryHead(nn.Module):
    """A smaller head on the features of the last stage but one, for training only."""

    classes: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Images, *, train: bool, valid: Valid | None = None) -> Logits:
        x = ConvNorm(x.shape[-1] // 4, 3, dtype=self.dtype, name="conv")(x, train=train, valid=valid)
        x = nn.Dropout(0.1, deterministic=not train)(x)
        return nn.Conv(self.classes, (1, 1), dtype=self.dtype, name="classifier")(x)


class DeepLabV3(nn.Module):
    """A backbone, and a head that classifies each position of its features.

    Logits are [batch, rows, columns, classes], `output_stride` times smaller than the images;
    `jaxcolor.layers.resize_bilinear` brings them to the size of the images. Frozen parts run with the running
    averages of BatchNorm and without dropout. `dtype` is that of the products; parameters are float32.
    """

    architecture: str = "efficientnet-lite0"  # a name in BACKBONES
    classes: int = 21
    output_stride: int = 8  # 8 or 16
    aux: bool = False  # add an auxiliary head
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        self.backbone = BACKBONES[self.architecture].build(self.output_stride, self.dtype)
        # The same distances in the image at both strides.
        rates = tuple(rate * 8 // self.output_stride for rate in RATES)
        self.head = Head(self.classes, rates, self.dtype)
        self.aux_head = AuxiliaryHead(self.classes, self.dtype) if self.aux else None

    def __call__(
        self,
        x: Images,
        *,
        after: Stage = "images",
        train: Part | None = None,
        valid: Valid | None = None,
    ) -> Logits:
        """Return the logits of images, or of the features `after` a part of the network.

        `train` is the part that is trained. `valid` [batch] is 0 for padding.
        """
        return self.with_auxiliary(x, after=after, train=train, valid=valid)[0]

    def with_auxiliary(
        self,
        x: Images,
        *,
        after: Stage = "images",
        train: Part | None = None,
        valid: Valid | None = None,
    ) -> tuple[Logits, Logits | None]:
        """Return the logits, and those of the auxiliary head if it is trained."""
        aux = None
        if after == "images":
            middle, x = self.backbone(x, train=train == "all", valid=valid)
            if self.aux_head is not None and (train == "all" or self.is_initializing()):
                aux = self.aux_head(middle, train=train == "all", valid=valid)
        if after != "head":
            x = self.head.features(x, train=train in ("head", "all"), valid=valid)
        return self.head.classifier(x), aux

    def features(self, images: Images, after: Literal["backbone", "head"]) -> Features:
        """Return the frozen features: the input of the head, or of the last layer."""
        x = self.backbone(images, train=False)[1]
        return x if after == "backbone" else self.head.features(x, train=False)
