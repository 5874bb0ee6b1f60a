"""The assignment's networks and their train, evaluation and prediction steps in plain PyTorch.

Inputs are [batch, channel, height, width] with 1 channel (gray images) or 3 (small color images), and their
height and width are multiples of 4. Logits are [batch, colors, height, width].
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Resize = Literal["halve", "keep", "double"]


class MyConv2d(nn.Module):
    """The assignment's convolution: stride 1, and zero padding so the output has the size of the input."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1):
        super().__init__()
        self.dilation = dilation
        self.padding = dilation * (kernel_size // 2)
        limit = (in_channels * kernel_size**2) ** -0.5
        shape = (out_channels, in_channels, kernel_size, kernel_size)
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-limit, limit))
        self.bias = nn.Parameter(torch.empty(out_channels).uniform_(-limit, limit))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, padding=self.padding, dilation=self.dilation)


def block(
    in_channels: int, out_channels: int, kernel_size: int, resize: Resize, dilation: int = 1
) -> nn.Sequential:
    """Return a convolution, pooling or upsampling, BatchNorm and ReLU, in this order."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["conv"] = MyConv2d(in_channels, out_channels, kernel_size, dilation)
    if resize == "halve":
        layers["pool"] = nn.MaxPool2d(2)
    elif resize == "double":
        layers["upsample"] = nn.Upsample(scale_factor=2)
    layers["norm"] = nn.BatchNorm2d(out_channels)
    layers["relu"] = nn.ReLU(inplace=True)
    return nn.Sequential(layers)


class CNN(nn.Module):
    """Five blocks and a convolution in sequence."""

    def __init__(self, filters: int = 32, colors: int = 24, kernel_size: int = 3, in_channels: int = 1):
        super().__init__()
        self.layer1 = block(in_channels, filters, kernel_size, "halve")
        self.layer2 = block(filters, 2 * filters, kernel_size, "halve")
        self.layer3 = block(2 * filters, 2 * filters, kernel_size, "keep")
        self.layer4 = block(2 * filters, filters, kernel_size, "double")
        self.layer5 = block(filters, colors, kernel_size, "double")
        self.layer6 = MyConv2d(colors, colors, kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer2(self.layer1(x))
        return self.layer6(self.layer5(self.layer4(self.layer3(x))))


class UNet(nn.Module):
    """The CNN with skip connections. `dilation` is that of layer 3."""

    def __init__(
        self,
        filters: int = 32,
        colors: int = 24,
        kernel_size: int = 3,
        in_channels: int = 1,
        dilation: int = 1,
    ):
        super().__init__()
        self.layer1 = block(in_channels, filters, kernel_size, "halve")
        self.layer2 = block(filters, 2 * filters, kernel_size, "halve")
        self.layer3 = block(2 * filters, 2 * filters, kernel_size, "keep", dilation)
        self.layer4 = block(4 * filters, filters, kernel_size, "double")
        self.layer5 = block(2 * filters, colors, kernel_size, "double")
        self.layer6 = MyConv2d(in_channels + colors, colors, kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        out1 = self.layer1(x)
        out2 = self.layer2(out1)
        out3 = self.layer3(out2)
        out4 = self.layer4(torch.cat([out2, out3], dim=1))
        out5 = self.layer5(torch.cat([out1, out4], dim=1))
        return self.layer6(torch.cat([x, out5], dim=1))


def strided_block(
    in_channels: int, out_channels: int, kernel_size: int, resize: Literal["halve", "double"]
) -> nn.Sequential:
    """Return a convolution with stride 2 or its transpose, BatchNorm and ReLU, in this order."""
    padding = kernel_size // 2
    conv: nn.Module
    if resize == "halve":
        conv = nn.Conv2d(in_channels, out_channels, kernel_size, 2, padding)
    else:
        conv = nn.ConvTranspose2d(in_channels, out_channels, kernel_size, 2, padding, output_padding=1)
    layers: OrderedDict[str, nn.Module] = OrderedDict(conv=conv)
    layers["norm"] = nn.BatchNorm2d(out_channels)
    layers["relu"] = nn.ReLU(inplace=True)
    return nn.Sequential(layers)


class ConvTransposeNet(nn.Module):
    """Two strided and two transposed convolutions and a convolution in sequence."""

    def __init__(self, filters: int = 32, colors: int = 24, kernel_size: int = 3, in_channels: int = 1):
        super().__init__()
        self.layer1 = strided_block(in_channels, filters, kernel_size, "halve")
        self.layer2 = strided_block(filters, 2 * filters, kernel_size, "halve")
        self.layer3 = strided_block(2 * filters, filters, kernel_size, "double")
        self.layer4 = strided_block(filters, colors, kernel_size, "double")
        self.layer5 = nn.Conv2d(colors, colors, kernel_size, padding=kernel_size // 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer5(self.layer4(self.layer3(self.layer2(self.layer1(x)))))


class StridedUNet(nn.Module):
    """The ConvTransposeNet with skip connections."""

    def __init__(self, filters: int = 32, colors: int = 24, kernel_size: int = 3, in_channels: int = 1):
        super().__init__()
        self.layer1 = strided_block(in_channels, filters, kernel_size, "halve")
        self.layer2 = strided_block(filters, 2 * filters, kernel_size, "halve")
        self.layer3 = strided_block(2 * filters, filters, kernel_size, "double")
        self.layer4 = strided_block(2 * filters, colors, kernel_size, "double")
        self.layer5 = nn.Conv2d(in_channels + colors, colors, kernel_size, padding=kernel_size // 2)

    def forward(self, x: Tensor) -> Tensor:
        out1 = self.layer1(x)
        out3 = self.layer3(self.layer2(out1))
        out4 = self.layer4(torch.cat([out1, out3], dim=1))
        return self.layer5(torch.cat([x, out4], dim=1))


NetworkName = Literal["cnn", "unet", "strided-unet", "conv-transpose"]
NETWORKS: dict[str, type[nn.Module]] = {
    "cnn": CNN,
    "unet": UNet,
    "strided-unet": StridedUNet,
    "conv-transpose": ConvTransposeNet,
}


def add_prior(model: nn.Module, prior: Tensor) -> None:
    """Let a network add log p(color | gray level), `prior` [256, colors], to its logits."""

    def add(module: nn.Module, args: tuple[Tensor], logits: Tensor) -> Tensor:
        levels = (args[0][:, 0] * 256).round().clamp(0, 255).long()
        of_pixels = prior.to(logits.device, logits.dtype)[levels]  # [batch, height, width, colors]
        return logits + of_pixels.permute(0, 3, 1, 2)

    model.register_forward_hook(add)


def make_optimizer(model: nn.Module, learning_rate: float = 1e-3) -> torch.optim.Adam:
    """Return Adam in its fastest form, which updates all parameters in one kernel."""
    return torch.optim.Adam(model.parameters(), lr=learning_rate, fused=True)


def compute_loss(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy over all pixels. Labels are int64 [batch, height, width]."""
    return F.cross_entropy(model(inputs), labels)


def most_likely(logits: Tensor) -> Tensor:
    """Return the index of the most likely color of each pixel."""
    # On a CPU argmax(dim=1) takes seven times as long.
    return logits.max(dim=1).indices


def compute_scores(model: nn.Module, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean loss and the share of correct pixels."""
    logits = model(inputs)
    return F.cross_entropy(logits, labels), (most_likely(logits) == labels).float().mean()


def train_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    inputs: Tensor,
    labels: Tensor,
    *,
    loss_fn: Callable[[nn.Module, Tensor, Tensor], Tensor] = compute_loss,
    bfloat16: bool = False,
) -> Tensor:
    """Make one step of the optimizer. Return the loss on the device, without waiting for it."""
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bfloat16):
        loss = loss_fn(model, inputs, labels)
    loss.backward()
    optimizer.step()
    return loss.detach()


@torch.inference_mode()
def evaluate_step(model: nn.Module, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return `compute_scores` of a batch, for a model in evaluation mode."""
    return compute_scores(model, inputs, labels)


@torch.inference_mode()
def predict(model: nn.Module, inputs: Tensor) -> Tensor:
    """Return the palette index of each pixel, for a model in evaluation mode."""
    return most_likely(model(inputs))


def gray(images: Tensor) -> Tensor:
    """Return the inputs for uint8 images [batch, height, width, 3]: float32 [batch, 1, height, width]."""
    return (images.float().mean(dim=-1) / 256).unsqueeze(1)


def predict_images(model: nn.Module, images: Tensor, palette: Tensor) -> Tensor:
    """Return images in the colors of the palette, uint8 [colors, 3], from images with any colors.

    Both images are uint8 [batch, height, width, 3].
    """
    return F.embedding(most_likely(model(gray(images))), palette)
