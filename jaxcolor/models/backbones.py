"""The backbones of segmentation networks, with their pretrained weights.

A backbone of your own is a file with its network, and a line in `BACKBONES`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Protocol

from jax.typing import DTypeLike

from jaxcolor.layers.conv_norm import Features, Images, Valid
from jaxcolor.models.efficientnet import EfficientNetLite
from jaxcolor.models.heads import RATES
from jaxcolor.models.mobilenet import MobileNetV3Large
from jaxcolor.models.resnet import BasicBlock, ResNet
from jaxcolor.pretrained import published
from jaxcolor.pretrained.keys import Table


class Network(Protocol):
    """A Flax module that returns the features of images at strides of 4, 8, 16 and 32.

    No stride exceeds the output stride with which the network is built.
    """

    def __call__(self, x: Images, *, train: bool, valid: Valid | None = None) -> tuple[Features, ...]: ...

    def keys(self) -> Table:
        """Return the keys of the weights in PyTorch's files, and their places under "backbone"."""


class Backbone(NamedTuple):
    """How to build a backbone, and where its pretrained weights are."""

    build: Callable[[int, DTypeLike], Network]  # from the output stride and the dtype
    output_stride: int  # by default
    published: Callable[[], Path]  # returns the file of the weights
    with_heads: Mapping[str, Callable[[], Path]] = MappingProxyType({})  # files that have these heads, too
    rates: tuple[int, ...] = RATES  # of ASPP, at an output stride of 8
    auxiliary: int = 2  # index of the features that the auxiliary head takes

    def locate(self, head: str) -> Path:
        """Return the published file for networks with a head."""
        return self.with_heads.get(head, self.published)()


# The choices of `--backbone`.
BACKBONES = {
    "resnet18": Backbone(
        partial(ResNet, (2, 2, 2, 2), block=BasicBlock),
        16,
        partial(published.torchvision, "resnet18-f37072fd.pth", "sha256:f37072fd"),
    ),
    "resnet34": Backbone(
        partial(ResNet, (3, 4, 6, 3), block=BasicBlock),
        16,
        partial(published.torchvision, "resnet34-b627a593.pth", "sha256:b627a593"),
    ),
    "resnet50": Backbone(
        partial(ResNet, (3, 4, 6, 3)),
        8,
        partial(published.torchvision, "deeplabv3_resnet50_coco-cd0a2569.pth", "sha256:cd0a2569"),
        {"fcn": partial(published.torchvision, "fcn_resnet50_coco-1167a1af.pth", "sha256:1167a1af")},
    ),
    "resnet101": Backbone(
        partial(ResNet, (3, 4, 23, 3)),
        8,
        partial(
            published.torchvision,
            "deeplabv3_resnet101_coco-586e9e4e.pth",
            "sha256:586e9e4e203fcbf17e1ad45533d8d33ab133fc762bf03101c5dd743995c08c0d",
        ),
        {"fcn": partial(published.torchvision, "fcn_resnet101_coco-7ecb50ca.pth", "sha256:7ecb50ca")},
    ),
    "mobilenet-v3-large": Backbone(
        MobileNetV3Large,
        16,
        partial(published.torchvision, "deeplabv3_mobilenet_v3_large-fc3c493d.pth", "sha256:fc3c493d"),
        {
            "lraspp": partial(
                published.torchvision, "lraspp_mobilenet_v3_large-d234d4ea.pth", "sha256:d234d4ea"
            )
        },
        rates=(24, 48, 72),  # 12, 24 and 36 at an output stride of 16
        auxiliary=1,
    ),
    "efficientnet-lite0": Backbone(EfficientNetLite, 16, published.efficientnet_lite0),
    "efficientnet-lite1": Backbone(partial(EfficientNetLite, depth=1.1), 16, published.efficientnet_lite1),
    "efficientnet-lite2": Backbone(
        partial(EfficientNetLite, width=1.1, depth=1.2), 16, published.efficientnet_lite2
    ),
}
