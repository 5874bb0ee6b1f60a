"""Networks that segment images: a pretrained backbone, and a head that classifies each position.

Images are [batch, height, width, 3] of any size, normalized as the backbone's weights expect.
"""

from typing import Literal

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcolor.layers.conv_norm import Features, Images, Valid
from jaxcolor.models.backbones import BACKBONES
from jaxcolor.models.heads import HEADS, LEVELS, FCNHead, Logits

Part = Literal["last", "head", "all"]  # the last layer; everything after the backbone; everything
Stage = Literal["images", "backbone", "head"]  # the network's input, or the features after a part
AuxiliaryLogits = Float[Array, "batch _ _ class"]  # their resolution may be another one
Inputs = Images | tuple[Features, ...]  # images, or the features after a part


class SegmentationNet(nn.Module):
    """A backbone, and a head that classifies each position of its features.

    Logits are [batch, rows, columns, classes]: `output_stride` times smaller than the images with the heads
    of DeepLabV3 and FCN, 8 times with that of LR-ASPP, 4 times with the others.
    `jaxcolor.layers.resize_bilinear` brings them to the size of the images. Frozen parts run with the running
    averages of BatchNorm and without dropout. `dtype` is that of the products; parameters are float32.
    """

    architecture: str = "efficientnet-lite0"  # a name in BACKBONES
    classes: int = 21
    output_stride: int = 8  # 8, 16 or 32
    aux: bool = False  # add an auxiliary head
    dtype: DTypeLike = jnp.float32
    decoder: str = "deeplabv3"  # a name in HEADS

    def setup(self) -> None:
        backbone = BACKBONES[self.architecture]
        self.backbone = backbone.build(self.output_stride, self.dtype)
        # The same distances in the image at all strides.
        rates = tuple(rate * 8 // self.output_stride for rate in backbone.rates)
        self.head = HEADS[self.decoder](self.classes, rates, self.dtype)
        self.aux_head = FCNHead(self.classes, rates, self.dtype) if self.aux else None

    def __call__(
        self,
        x: Inputs,
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
        x: Inputs,
        *,
        after: Stage = "images",
        train: Part | None = None,
        valid: Valid | None = None,
    ) -> tuple[Logits, AuxiliaryLogits | None]:
        """Return the logits, and those of the auxiliary head if it is trained."""
        aux = None
        if after == "images":
            assert not isinstance(x, tuple)
            stages = self.backbone(x, train=train == "all", valid=valid)
            if self.aux_head is not None and (train == "all" or self.is_initializing()):
                level = stages[BACKBONES[self.architecture].auxiliary]
                features = self.aux_head.features([level], train=train == "all", valid=valid)
                aux = self.aux_head.classifier(features)
            x = self._levels(stages)
        if after != "head":
            x = (self.head.features(x, train=train in ("head", "all"), valid=valid),)
        return self.head.classifier(x[0]), aux

    def features(self, images: Images, after: Literal["backbone", "head"]) -> tuple[Features, ...]:
        """Return the frozen features: those that the head takes, or the input of the last layer."""
        levels = self._levels(self.backbone(images, train=False))
        return levels if after == "backbone" else (self.head.features(levels, train=False),)

    def _levels(self, stages: tuple[Features, ...]) -> tuple[Features, ...]:
        return tuple(stages[index] for index in LEVELS[self.decoder])


class DeepLabV3(SegmentationNet):
    """DeepLabV3 (Chen et al., arXiv:1706.05587) with the structure of torchvision's."""
