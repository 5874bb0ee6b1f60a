"""Sheets of images with labels and legends, drawn with Pillow."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from jaxcolor.images import save_image

# The images of one drawing may differ in size, so their axes have no names.
ImageArray = UInt8[np.ndarray, "_ _ _"]  # [height, width, channel], gray (1 channel) or color (3)
Images = UInt8[np.ndarray, "_ _ _ _"]

GAP = 4
MARGIN = 12
LINE = 20  # height of a line of text, in pixels
ENLARGED = 96  # pixels of the longer side of a drawn image, or the next multiple of the image's own
INK, PAPER = (40, 40, 40), (255, 255, 255)


def draw_grid(path: Path, title: str, rows: Mapping[str, Images]) -> None:
    """Draw a row of images per entry, behind its label, enlarged without smoothing."""
    strips = {label: row([enlarged(image) for image in images]) for label, images in rows.items()}
    save_image(path, sheet(title, strips, GAP))


def enlarged(image: ImageArray, size: int = ENLARGED) -> Image.Image:
    """Enlarge every pixel to a square of pixels."""
    factor = max(1, -(-size // max(image.shape[:2])))
    is_gray = image.shape[2] == 1
    small = Image.fromarray(image[..., 0] if is_gray else image).convert("RGB")
    return small.resize((small.width * factor, small.height * factor), Image.Resampling.NEAREST)


@cache
def font() -> ImageFont.FreeTypeFont:
    """Return the font of all labels."""
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), size=14)


def row(images: Sequence[Image.Image]) -> Image.Image:
    """Return the images side by side."""
    width = sum(image.width + GAP for image in images) - GAP
    row = Image.new("RGB", (width, max(image.height for image in images)), PAPER)
    left = 0
    for image in images:
        row.paste(image, (left, 0))
        left += image.width + GAP
    return row


def column(images: Sequence[Image.Image], gap: int = GAP) -> Image.Image:
    """Return the images below each other."""
    height = sum(image.height + gap for image in images) - gap
    column = Image.new("RGB", (max(image.width for image in images), height), PAPER)
    top = 0
    for image in images:
        column.paste(image, (0, top))
        top += image.height + gap
    return column


def sheet(
    title: str, strips: Mapping[str, Image.Image], gap: int, headings: Mapping[str, int] | None = None
) -> Image.Image:
    """Return a sheet with a title, and below it each strip to the right of its label.

    `headings` holds the headings of columns, and the distance of each column from the left of the strips.
    """
    measure = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    labels = max(measure.multiline_textbbox((0, 0), label, font())[2] for label in strips)
    left, top = int(labels) + 2 * MARGIN, 3 * MARGIN
    body = column(list(strips.values()), gap)
    width = max(left + body.width, int(left + measure.textlength(title, font()))) + MARGIN
    lines = LINE if headings else 0
    sheet = Image.new("RGB", (width, top + lines + body.height + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((left, top // 2), title, INK, font(), anchor="lm")
    for heading, distance in (headings or {}).items():
        draw.text((left + distance, top + LINE // 2 - GAP), heading, INK, font(), anchor="lm")
    top += lines
    sheet.paste(body, (left, top))
    for label, strip in strips.items():
        draw.multiline_text((MARGIN, top + strip.height // 2), label, INK, font(), anchor="lm")
        top += strip.height + gap
    return sheet


def legend(colors: Mapping[str, tuple[int, int, int]], width: int) -> Image.Image:
    """Return a legend, a square of each color and its name, in lines of about `width` pixels."""
    side, space = 16, 20
    measure = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    places: list[tuple[int, int]] = []
    left = line = 0
    for name in colors:
        length = side + GAP + int(measure.textlength(name, font())) + space
        if left and left + length - space > width:
            left, line = 0, line + 1
        places.append((left, line * (side + GAP)))
        left += length
    widest = max(
        x + side + GAP + int(measure.textlength(n, font())) for (x, _), n in zip(places, colors, strict=True)
    )
    image = Image.new("RGB", (max(widest + 1, 1), (line + 1) * (side + GAP)), PAPER)
    draw = ImageDraw.Draw(image)
    for (x, y), (name, color) in zip(places, colors.items(), strict=True):
        draw.rectangle((x, y, x + side - 1, y + side - 1), fill=color, outline=INK)
        draw.text((x + side + GAP, y + side // 2), name, INK, font(), anchor="lm")
    return image
