"""The built-in sample for segmentation: textured shapes in front of photographs.

The label maps are like those of Pascal VOC. A random generator with a fixed seed draws each image. Only the
shape determines the class: colors, textures, sizes and angles are random.
"""

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from scipy import ndimage

from jaxcolor.data.examples import Example
from jaxcolor.data.image_files import Size
from jaxcolor.data.label_maps import VOID
from jaxcolor.data.photographs import TRAIN_SHARE, load_photographs

SHAPES = ("background", "disc", "square", "triangle", "star", "ring", "cross")
SIZE: Size = (180, 240)
COUNTS = {"train": 200, "validation": 60}
SMALLEST, LARGEST = 0.14, 0.32  # radii, as shares of the image's height
BORDER = 2  # pixels of void on each side of a shape's edge

Plane = Float[np.ndarray, "height width"]
Mask = Bool[np.ndarray, "height width"]


class ShapeImages:
    """A split of the sample, which implements `Examples`. Every access draws its image anew."""

    def __init__(self, split: str):
        self.split = split
        self.names = [f"{split}-{index:03}" for index in range(COUNTS[split])]
        self.sizes = [SIZE] * COUNTS[split]
        self.fingerprint = f"shapes-1-{split}"
        # As for colorization, the left part of each photograph is for training, the right one for validation.
        self._backgrounds = []
        for photograph in load_photographs():
            boundary = int(photograph.shape[1] * TRAIN_SHARE)
            self._backgrounds.append(
                photograph[:, :boundary] if split == "train" else photograph[:, boundary:]
            )

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> Example:
        if not 0 <= index < len(self):
            raise IndexError(index)
        rng = np.random.default_rng((list(COUNTS).index(self.split), index))
        image = _background(self._backgrounds[rng.integers(len(self._backgrounds))], rng)
        label_map = np.zeros(SIZE, np.uint8)
        for _ in range(rng.integers(1, 5)):
            label = rng.integers(1, len(SHAPES))
            inside = _draw_shape(SHAPES[label], rng)
            image[inside] = _texture(rng)[inside]
            label_map[ndimage.binary_dilation(inside, iterations=BORDER)] = VOID
            label_map[ndimage.binary_erosion(inside, iterations=BORDER)] = label
        smooth = ndimage.gaussian_filter(image, (0.6, 0.6, 0))
        noisy = smooth + rng.normal(0, 4, smooth.shape)
        return Example(self.names[index], noisy.round().clip(0, 255).astype(np.uint8), label_map)


def _background(
    photograph: UInt8[np.ndarray, "_ _ 3"], rng: np.random.Generator
) -> Float[np.ndarray, "_ _ 3"]:
    """Return a random part of a photograph, resized to `SIZE`."""
    height, width = photograph.shape[:2]
    largest = min(height / SIZE[0], width / SIZE[1])
    scale = largest * rng.uniform(0.5, 1)
    top, left = (rng.uniform(0, n - scale * m) for n, m in zip((height, width), SIZE, strict=True))
    box = (left, top, left + scale * SIZE[1], top + scale * SIZE[0])
    image = Image.fromarray(photograph).resize(SIZE[::-1], Image.Resampling.BILINEAR, box=box)
    return np.asarray(image, np.float64)


def _draw_shape(shape: str, rng: np.random.Generator) -> Mask:
    """Return the pixels inside of a shape with a random place, size and angle."""
    radius = SIZE[0] * rng.uniform(SMALLEST, LARGEST)
    center = [rng.uniform(0.6 * radius, n - 0.6 * radius) for n in SIZE]
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = ((axis - c) / radius for axis, c in zip(np.indices(SIZE), center, strict=True))
    x = np.cos(angle) * columns + np.sin(angle) * rows
    y = np.cos(angle) * rows - np.sin(angle) * columns
    return INSIDE[shape](x, y)


def _disc(x: Plane, y: Plane) -> Mask:
    return x**2 + y**2 < 0.8


def _ring(x: Plane, y: Plane) -> Mask:
    return _disc(x, y) & (x**2 + y**2 > 0.25)


def _square(x: Plane, y: Plane) -> Mask:
    return np.maximum(abs(x), abs(y)) < 0.75


def _triangle(x: Plane, y: Plane) -> Mask:
    return np.maximum(-y, y / 2 + abs(x) * np.sqrt(3) / 2) < 0.5


def _star(x: Plane, y: Plane) -> Mask:
    # Five points at radius 1, and notches at radius 0.4 between them.
    turn = 2 * np.pi / 5
    angle = abs((np.arctan2(y, x) % turn) - turn / 2)
    return np.hypot(x, y) < 1 - 0.6 * np.sin(2.5 * (turn / 2 - angle))


def _cross(x: Plane, y: Plane) -> Mask:
    return (np.minimum(abs(x), abs(y)) < 0.28) & (np.maximum(abs(x), abs(y)) < 0.9)


# The pixels inside of each shape, given their coordinates in a frame where the shape's radius is about 1.
INSIDE = {
    "disc": _disc, "square": _square, "triangle": _triangle, "star": _star, "ring": _ring, "cross": _cross,
}  # fmt: skip


def _texture(rng: np.random.Generator) -> Float[np.ndarray, "_ _ 3"]:
    """Return stripes, checks, waves or grain of two random colors."""
    first, second = rng.uniform(0, 255, (2, 3))
    rows, columns = np.indices(SIZE)
    angle, period = rng.uniform(0, np.pi), rng.uniform(5, 16)
    along = (np.cos(angle) * columns + np.sin(angle) * rows) * 2 * np.pi / period
    across = (np.cos(angle) * rows - np.sin(angle) * columns) * 2 * np.pi / period
    share = [
        lambda: (np.sin(along) > 0).astype(float),
        lambda: (np.sin(along) * np.sin(across) > 0).astype(float),
        lambda: 0.5 + 0.5 * np.sin(along + np.sin(across)),
        lambda: ndimage.gaussian_filter(rng.uniform(-3, 4, SIZE), 1.5).clip(0, 1),
    ][rng.integers(4)]()[..., None]
    return first * share + second * (1 - share)
