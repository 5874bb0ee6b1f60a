"""The drawings of a colorization run: grids of sample images, and the activations of the layers."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from jaxcolor.drawing import GAP, MARGIN, column, row, sheet
from jaxcolor.images import save_image

ENLARGED = 96  # pixels of the longer side of a drawn image, or the next multiple of the image's own
TILE = 64  # the same for a channel of the activations
COLUMNS = 16  # channels side by side

# The images of one drawing may differ in size, so their axes have no names.
ImageArray = UInt8[np.ndarray, "_ _ _"]  # [height, width, channel], gray (1 channel) or color (3)
Images = UInt8[np.ndarray, "_ _ _ _"]
Activations = Float[np.ndarray, "_ _ _"]


def draw_grid(path: Path, title: str, rows: Mapping[str, Images]) -> None:
    """Draw a row of images per entry, behind its label, enlarged without smoothing."""
    strips = {label: row([_enlarged(image) for image in images]) for label, images in rows.items()}
    save_image(path, sheet(title, strips, GAP))


def draw_activations(
    path: Path,
    title: str,
    images: Mapping[str, ImageArray],
    layers: Mapping[str, Activations],
) -> None:
    """Draw the images of one example, and below them every channel of each layer.

    Each channel is scaled so that its minimum is black and its maximum white.
    """
    strips = {", ".join(images): row([_enlarged(image) for image in images.values()])}
    for name, values in layers.items():
        height, width, channels = values.shape
        tiles = [_enlarged(_scaled(values[..., [c]]), TILE) for c in range(channels)]
        lines = [row(tiles[i : i + COLUMNS]) for i in range(0, channels, COLUMNS)]
        strips[f"{name}\n{channels} channels\n{height}×{width}"] = column(lines)
    save_image(path, sheet(title, strips, MARGIN))


def _enlarged(image: ImageArray, size: int = ENLARGED) -> Image.Image:
    """Enlarge every pixel to a square of pixels."""
    factor = max(1, -(-size // max(image.shape[:2])))
    is_gray = image.shape[2] == 1
    small = Image.fromarray(image[..., 0] if is_gray else image).convert("RGB")
    return small.resize((small.width * factor, small.height * factor), Image.Resampling.NEAREST)


def _scaled(channel: Activations) -> ImageArray:
    low, high = channel.min(), channel.max()
    return np.round((channel - low) / max(high - low, 1e-12) * 255).astype(np.uint8)
