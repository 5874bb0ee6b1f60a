"""The drawing of the activations of a network's layers."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxcolor.drawing import MARGIN, ImageArray, column, enlarged, row, sheet
from jaxcolor.images import save_image

TILE = 64  # pixels of the longer side of a channel of the activations, or the next multiple of its own
COLUMNS = 16  # channels side by side

Activations = Float[np.ndarray, "_ _ _"]


def draw_activations(
    path: Path,
    title: str,
    images: Mapping[str, ImageArray],
    layers: Mapping[str, Activations],
) -> None:
    """Draw the images of one example, and below them every channel of each layer.

    Each channel is scaled so that its minimum is black and its maximum white.
    """
    strips = {", ".join(images): row([enlarged(image) for image in images.values()])}
    for name, values in layers.items():
        height, width, channels = values.shape
        tiles = [enlarged(_scaled(values[..., [c]]), TILE) for c in range(channels)]
        lines = [row(tiles[i : i + COLUMNS]) for i in range(0, channels, COLUMNS)]
        strips[f"{name}\n{channels} channels\n{height}×{width}"] = column(lines)
    save_image(path, sheet(title, strips, MARGIN))


def _scaled(channel: Activations) -> ImageArray:
    low, high = channel.min(), channel.max()
    return np.round((channel - low) / max(high - low, 1e-12) * 255).astype(np.uint8)
