"""torchvision's DeepLabV3 and EfficientNet-Lite0, as what ours is compared with."""

from collections.abc import Callable

import efficientnet_lite_pytorch
import torch
from torch import Tensor, nn
from torchvision.models import segmentation
from torchvision.models.resnet import Bottleneck

from jaxcolor.models.efficientnet import AUXILIARY_STAGE, STAGES

# Which of EfficientNet-Lite0's blocks end the stages that a head looks at.
ENDS = [sum(stage.blocks for stage in STAGES[: end + 1]) - 1 for end in (AUXILIARY_STAGE, len(STAGES) - 1)]


def deeplab(backbone: str, classes: int = 21, aux: bool = True) -> nn.Module:
    """torchvision's model of a ResNet, with fresh weights."""
    build = {"resnet50": segmentation.deeplabv3_resnet50, "resnet101": segmentation.deeplabv3_resnet101}
    return build[backbone](weights=None, weights_backbone=None, num_classes=classes, aux_loss=aux)


def efficientnet() -> nn.Module:
    """The package's EfficientNet-Lite0 for images of any size."""
    # With a size, its padding would be that of images of that size, whatever it is given.
    return efficientnet_lite_pytorch.EfficientNet.from_name("efficientnet-lite0", image_size=None)


def randomize_statistics(model: nn.Module, seed: int = 0) -> None:
    """Give every BatchNorm statistics and parameters as if it had been trained."""
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


def stages(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Stage → its output [batch, channel, rows, columns], in evaluation mode; `out` are the logits."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple, Tensor], None]:
        def hook(module: nn.Module, inputs: tuple, output: Tensor) -> None:
            found[name] = output

        return hook

    if isinstance(model, efficientnet_lite_pytorch.EfficientNet):
        parts = {f"block{end}": model._blocks[end] for end in ENDS}
        run: Callable[[Tensor], object] = model.extract_features
    else:
        modules = dict(model.named_modules())
        names = {"layer3": "backbone.layer3", "layer4": "backbone.layer4", "aspp": "classifier.0"}
        names |= {"conv": "classifier.3", "logits": "classifier.4"}
        parts = {name: modules[path] for name, path in names.items()}
        run = model
    handles = [part.register_forward_hook(keep(name)) for name, part in parts.items()]
    with torch.inference_mode():
        out = run(images)
    for handle in handles:
        handle.remove()
    if isinstance(out, dict):
        found["out"] = out["out"]
    return found


@torch.no_grad()
def calibrate(model: nn.Module, images: Tensor) -> None:
    """Give a ResNet with random weights BatchNorm statistics of these images, so that nothing explodes.

    What a block adds to its shortcut is made small, as it is in trained networks: at full strength random
    weights make 10⁻⁴ of a rounding error of 10⁻⁷.
    """
    for module in model.modules():
        if isinstance(module, Bottleneck):
            module.bn3.weight.fill_(0.2)
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches, here of one
    model.train()
    model(images)
    model.eval()
