"""PyTorch's segmentation networks and classifiers, which the networks of jaxcolor are compared with."""

from collections.abc import Callable

import efficientnet_lite_pytorch
import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models import segmentation
from torchvision.models.resnet import Bottleneck

# The stages of torchvision's heads: our name, and the path of its last module.
HEAD_STAGES = {
    segmentation.DeepLabV3: {"aspp": "classifier.0", "conv": "classifier.3", "classifier": "classifier.4"},
    segmentation.FCN: {"conv": "classifier.2", "classifier": "classifier.4"},
    segmentation.LRASPP: {"conv": "classifier.cbr", "classifier": "classifier"},
}


def build_segmentation(head: str, backbone: str, classes: int = 21, aux: bool = True) -> nn.Module:
    """Return a network of torchvision with new weights."""
    name = f"{head}_{backbone.replace('-', '_')}"
    return models.get_model(name, weights=None, weights_backbone=None, num_classes=classes, aux_loss=aux)


def build_classifier(backbone: str) -> nn.Module:
    """Return the ImageNet classifier of a backbone, with new weights, for images of any size."""
    if backbone.startswith("efficientnet"):
        # With an image size, the padding would be that for this size only.
        return efficientnet_lite_pytorch.EfficientNet.from_name(backbone, image_size=None)
    return models.get_model(backbone.replace("-", "_"), weights=None)


def randomize_statistics(model: nn.Module, seed: int = 0) -> None:
    """Set the statistics and parameters of every BatchNorm to random values, as in a trained network."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            for tensor, low, high in (
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 1.5),
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.2, 0.2),
            ):
                tensor.uniform_(low, high, generator=generator)


def backbone_stages(model: nn.Module) -> list[nn.Module]:
    """Return the last modules at strides of 4, 8, 16 and 32, which may be dilated instead.

    At a stride of 8 it is the first block of a MobileNetV3, as in torchvision's networks.
    """
    if not isinstance(model, efficientnet_lite_pytorch.EfficientNet):
        body = getattr(model, "backbone", getattr(model, "features", model))
        is_mobilenet = "16" in dict(body.named_children())
        names = ("3", "4", "12", "16") if is_mobilenet else ("layer1", "layer2", "layer3", "layer4")
        return [body.get_submodule(name) for name in names]
    stride, last = 2, {}
    for block in model._blocks:
        stride *= block._depthwise_conv.stride[0]
        last[stride] = block
    return [last[stride] for stride in (4, 8, 16, 32)]


def stage_outputs(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Return the output of each stage, [batch, channel, rows, columns].

    The model is in evaluation mode. The stages `out` and `aux` of a segmentation network have the logits at
    the size of the images.
    """
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple, Tensor], None]:
        def hook(module: nn.Module, inputs: tuple, output: Tensor) -> None:
            outputs[name] = output

        return hook

    parts = {f"stage{number}": part for number, part in enumerate(backbone_stages(model), 1)}
    run: Callable[[Tensor], object] = model
    if isinstance(model, efficientnet_lite_pytorch.EfficientNet):
        run = model.extract_features
    elif hasattr(model, "backbone"):
        parts |= {name: model.get_submodule(path) for name, path in HEAD_STAGES[type(model)].items()}
    handles = [part.register_forward_hook(keep(name)) for name, part in parts.items()]
    with torch.inference_mode():
        out = run(images)
    for handle in handles:
        handle.remove()
    if isinstance(out, dict):
        outputs |= out
    return outputs


@torch.no_grad()
def calibrate(model: nn.Module, images: Tensor) -> None:
    """Set the BatchNorm statistics of a ResNet with random weights to those of `images`.

    Also scale the branch that a block adds to its shortcut by 0.2. These branches are small in trained
    networks; without the scale, random weights amplify a rounding error of 10⁻⁷ to 10⁻⁴.
    """
    for module in model.modules():
        if isinstance(module, Bottleneck):
            module.bn3.weight.fill_(0.2)
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches, here of one
    model.train()
    model(images)
    model.eval()
