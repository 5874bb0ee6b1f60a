"""DeepLabV3 (Chen et al., arXiv:1706.05587) in the structure of torchvision's.

Its images are [batch, height, width, 3], normalized as the backbone's weights want them, of any size.
"""

from functools import partial
from typing import Literal, get_args

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcolor.layers.conv_norm import ConvNorm, Features, ImageArray, Mask
from jaxcolor.models.efficientnet import EfficientNetLite0
from jaxcolor.models.resnet import BLOCKS, ResNet

Backbone = Literal["resnet50", "resnet101", "efficientnet-lite0"]
BACKBONES: tuple[Backbone, ...] = get_args(Backbone)
OutputStride = Literal[8, 16]
RATES = (12, 24, 36)  # of the head's dilated convolutions, where features are 8 times smaller than images
WIDTH = 256  # channels of the head
Trained = Literal["last", "head", "all"]  # the last layer, all behind the backbone, everything
Given = Literal["images", "backbone", "head"]  # images, or features from behind one of these
Logits = Float[Array, "batch rows columns class"]


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: sees each place at several distances at once, and the whole image."""

    rates: tuple[int, ...]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: ImageArray, *, train: bool, mask: Mask | None = None) -> Features:
        conv = partial(ConvNorm, WIDTH, dtype=self.dtype)
        branches = [conv(name="near")(x, train=train, mask=mask)]
        for i, rate in enumerate(self.rates, 1):
            branches.append(conv(3, dilation=rate, name=f"atrous{i}")(x, train=train, mask=mask))
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
        self.classifier = nn.Conv(self.classes, (1, 1), dtype=self.dtype)  # torchvision's `classifier.4`

    def features(self, x: ImageArray, *, train: bool, mask: Mask | None = None) -> Features:
        """What the last layer sees."""
        return self.conv(self.aspp(x, train=train, mask=mask), train=train, mask=mask)


class AuxiliaryHead(nn.Module):
    """A smaller head for the features of the last stage but one, for training only."""

    classes: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: ImageArray, *, train: bool, mask: Mask | None = None) -> Logits:
        x = ConvNorm(x.shape[-1] // 4, 3, dtype=self.dtype, name="conv")(x, train=train, mask=mask)
        x = nn.Dropout(0.1, deterministic=not train)(x)
        return nn.Conv(self.classes, (1, 1), dtype=self.dtype, name="classifier")(x)


class DeepLabV3(nn.Module):
    """A backbone, and a head that classifies each place of its features.

    Logits are as small as the features; `upsample` brings them to the images' size. What is not trained
    runs with BatchNorm's running statistics and without dropout.
    """

    architecture: Backbone
    classes: int
    output_stride: OutputStride = 8  # how many times smaller than the images features are
    aux: bool = False  # whether there is an auxiliary head
    dtype: DTypeLike = jnp.float32  # of the products; parameters and statistics are float32

    def setup(self) -> None:
        if self.architecture == "efficientnet-lite0":
            self.backbone: nn.Module = EfficientNetLite0(self.output_stride, self.dtype)
        else:
            self.backbone = ResNet(BLOCKS[self.architecture], self.output_stride, self.dtype)
        # The same distances in the image at both strides.
        rates = tuple(rate * 8 // self.output_stride for rate in RATES)
        self.head = Head(self.classes, rates, self.dtype)
        self.aux_head = AuxiliaryHead(self.classes, self.dtype) if self.aux else None

    def __call__(
        self,
        x: ImageArray,
        *,
        given: Given = "images",
        train: Trained | None = None,
        mask: Mask | None = None,
    ) -> tuple[Logits, Logits | None]:
        """The logits, and those of the auxiliary head where it is trained.

        `x` are images, or their features from behind the backbone or the head. `mask` [batch] is 0 for
        images that only fill up a batch.
        """
        aux = None
        if given == "images":
            middle, x = self.backbone(x, train=train == "all", mask=mask)
            if self.aux_head is not None and (train == "all" or self.is_initializing()):
                aux = self.aux_head(middle, train=train == "all", mask=mask)
        if given != "head":
            x = self.head.features(x, train=train in ("head", "all"), mask=mask)
        return self.head.classifier(x), aux

    def features(self, images: ImageArray, behind: Literal["backbone", "head"]) -> Features:
        """What the head sees, or what the last layer sees, with all before it frozen."""
        x = self.backbone(images, train=False)[1]
        return x if behind == "backbone" else self.head.features(x, train=False)


def upsample(logits: Logits, size: tuple[int, int]) -> Float[Array, "batch _ _ class"]:
    """Bilinear, with half-pixel centers, in float32."""
    rows, columns = (jnp.asarray(interpolation(n, m)) for n, m in zip(size, logits.shape[1:3], strict=True))
    return interpolate(logits, rows, columns)


def interpolation(new: int, old: int) -> Float[np.ndarray, "new old"]:
    """The matrix that interpolates linearly between `old` values for `new` places."""
    place = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    left = np.floor(place).astype(int)
    matrix = np.zeros((new, old))
    matrix[np.arange(new), left] = 1 - (place - left)
    matrix[np.arange(new), np.minimum(left + 1, old - 1)] += place - left
    return matrix.astype(np.float32)


def interpolate(
    logits: Logits, rows: Float[Array, "_ rows"], columns: Float[Array, "_ columns"]
) -> Float[Array, "batch _ _ class"]:
    """Each axis by its matrix: first the rows, since the image is still narrow then."""
    exact = lax.Precision.HIGHEST
    logits = jnp.einsum("bhwc,Hh->bHwc", logits.astype(jnp.float32), rows, precision=exact)
    return jnp.einsum("bHwc,Ww->bHWc", logits, columns, precision=exact)
