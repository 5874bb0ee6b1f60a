"""The pictures of a colourization run: grids of samples, and the activations of the layers."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from jaxcolor.sheets import GAP, MARGIN, column, row, save, sheet

ENLARGED = 96  # pixels that a picture's longer side is drawn with, or the next multiple of its own
TILE = 64  # the same for a channel in a drawing of activations
COLUMNS = 16  # channels side by side in a drawing of activations

# Pictures of one drawing may differ in size, so that their axes have no names here.
Picture = UInt8[np.ndarray, "_ _ _"]  # [height, width, channel], grey (1 channel) or colour (3)
Pictures = UInt8[np.ndarray, "_ _ _ _"]
Activations = Float[np.ndarray, "_ _ _"]


def draw_grid(path: Path, title: str, rows: Mapping[str, Pictures]) -> None:
    """A labelled row for each entry: its pictures side by side, enlarged without smoothing."""
    strips = {label: row([_enlarged(picture) for picture in pictures]) for label, pictures in rows.items()}
    save(path, sheet(title, strips, GAP))


def draw_activations(
    path: Path,
    title: str,
    pictures: Mapping[str, Picture],
    layers: Mapping[str, Activations],
) -> None:
    """The pictures of one example, and below them every channel of each layer.

    A channel is stretched from its smallest value (black) to its largest (white).
    """
    strips = {", ".join(pictures): row([_enlarged(picture) for picture in pictures.values()])}
    for name, values in layers.items():
        height, width, channels = values.shape
        tiles = [_enlarged(_stretched(values[..., [c]]), TILE) for c in range(channels)]
        lines = [row(tiles[i : i + COLUMNS]) for i in range(0, channels, COLUMNS)]
        strips[f"{name}\n{channels} channels\n{height}×{width}"] = column(lines)
    save(path, sheet(title, strips, MARGIN))


def _enlarged(picture: Picture, size: int = ENLARGED) -> Image.Image:
    """Every pixel as a square of whole pixels: sharp, whatever the size."""
    factor = max(1, -(-size // max(picture.shape[:2])))
    is_gray = picture.shape[2] == 1
    image = Image.fromarray(picture[..., 0] if is_gray else picture).convert("RGB")
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def _stretched(channel: Activations) -> Picture:
    low, high = channel.min(), channel.max()
    return np.round((channel - low) / max(high - low, 1e-12) * 255).astype(np.uint8)
