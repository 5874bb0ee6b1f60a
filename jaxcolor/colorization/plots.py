"""The pictures of a colourization run: grids of samples, and the activations of the layers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from jaxcolor.files import write_atomically

ENLARGED = 96  # pixels that a picture's longer side is drawn with, or the next multiple of its own
GAP = 4
MARGIN = 12
TILE = 64  # the same for a channel in a drawing of activations
COLUMNS = 16  # channels side by side in a drawing of activations
INK, PAPER = (40, 40, 40), (255, 255, 255)

# Pictures of one drawing may differ in size, so that their axes have no names here.
Picture = UInt8[np.ndarray, "_ _ _"]  # [height, width, channel], grey (1 channel) or colour (3)
Pictures = UInt8[np.ndarray, "_ _ _ _"]
Activations = Float[np.ndarray, "_ _ _"]


def draw_grid(path: Path, title: str, rows: Mapping[str, Pictures]) -> None:
    """A labelled row for each entry: its pictures side by side, enlarged without smoothing."""
    strips = {label: _row([_enlarged(picture) for picture in pictures]) for label, pictures in rows.items()}
    _save(path, _sheet(title, strips, GAP))


def draw_activations(
    path: Path,
    title: str,
    pictures: Mapping[str, Picture],
    layers: Mapping[str, Activations],
) -> None:
    """The pictures of one example, and below them every channel of each layer.

    A channel is stretched from its smallest value (black) to its largest (white).
    """
    strips = {", ".join(pictures): _row([_enlarged(picture) for picture in pictures.values()])}
    for name, values in layers.items():
        height, width, channels = values.shape
        tiles = [_enlarged(_stretched(values[..., [c]]), TILE) for c in range(channels)]
        lines = [_row(tiles[i : i + COLUMNS]) for i in range(0, channels, COLUMNS)]
        strips[f"{name}\n{channels} channels\n{height}×{width}"] = _column(lines)
    _save(path, _sheet(title, strips, MARGIN))


def _enlarged(picture: Picture, size: int = ENLARGED) -> Image.Image:
    """Every pixel as a square of whole pixels: sharp, whatever the size."""
    factor = max(1, -(-size // max(picture.shape[:2])))
    is_gray = picture.shape[2] == 1
    image = Image.fromarray(picture[..., 0] if is_gray else picture).convert("RGB")
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def _stretched(channel: Activations) -> Picture:
    low, high = channel.min(), channel.max()
    return np.round((channel - low) / max(high - low, 1e-12) * 255).astype(np.uint8)


def _row(images: Sequence[Image.Image]) -> Image.Image:
    width = sum(image.width + GAP for image in images) - GAP
    row = Image.new("RGB", (width, max(image.height for image in images)), PAPER)
    left = 0
    for image in images:
        row.paste(image, (left, 0))
        left += image.width + GAP
    return row


def _column(images: Sequence[Image.Image], gap: int = GAP) -> Image.Image:
    height = sum(image.height + gap for image in images) - gap
    column = Image.new("RGB", (max(image.width for image in images), height), PAPER)
    top = 0
    for image in images:
        column.paste(image, (0, top))
        top += image.height + gap
    return column


def _sheet(title: str, strips: Mapping[str, Image.Image], gap: int) -> Image.Image:
    """The title, and below it each strip behind its label."""
    font = ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), size=14)
    measure = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    labels = max(measure.multiline_textbbox((0, 0), label, font)[2] for label in strips)
    left, top = int(labels) + 2 * MARGIN, 3 * MARGIN
    body = _column(list(strips.values()), gap)
    sheet = Image.new("RGB", (left + body.width + MARGIN, top + body.height + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((left, top // 2), title, INK, font, anchor="lm")
    sheet.paste(body, (left, top))
    for label, strip in strips.items():
        draw.multiline_text((MARGIN, top + strip.height // 2), label, INK, font, anchor="lm")
        top += strip.height + gap
    return sheet


def _save(path: Path, image: Image.Image) -> None:
    write_atomically(path, lambda file: image.save(file, format="png"))
