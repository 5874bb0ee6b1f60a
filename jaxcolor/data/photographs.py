"""The built-in sample for colorization: patches of photographs that installed packages contain.

Eight photographs are too few to keep some of them for validation. So the left part of each is for training,
and the right part for validation.
"""

from importlib.resources import as_file, files

import numpy as np
from jaxtyping import UInt8
from PIL import Image

# Package and file of each photograph. All are free to use; the packages name the photographers.
PHOTOGRAPHS = (
    ("skimage", "data/astronaut.png"),
    ("skimage", "data/chelsea.png"),
    ("skimage", "data/coffee.png"),
    ("skimage", "data/motorcycle_left.png"),
    ("skimage", "data/rocket.jpg"),
    ("sklearn", "datasets/images/china.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
)
TRAIN_SHARE = 0.75  # of each photograph's width
WINDOWS = (64, 96, 128, 192)  # sides, in pixels of the photograph, of the squares that become patches
TRAIN_STRIDE = 3 / 8  # of the window
VALIDATION_STRIDE = 1 / 2


def load_photographs() -> list[UInt8[np.ndarray, "_ _ 3"]]:
    """Return the photographs, each with its own height and width."""
    return [_load(package, name) for package, name in PHOTOGRAPHS]


def _load(package: str, name: str) -> np.ndarray:
    with as_file(files(package).joinpath(name)) as path, Image.open(path) as photograph:
        return np.asarray(photograph.convert("RGB"))


def load_sample(
    side: int = 32,
) -> tuple[UInt8[np.ndarray, "train side side 3"], UInt8[np.ndarray, "validation side side 3"]]:
    """Return train and validation patches of the photographs, at several scales; always the same.

    Neighboring patches overlap; patches of the two splits do not. Each split is shuffled once, so its first
    images come from different photographs.
    """
    train, validation = [], []
    for photograph in load_photographs():
        boundary = int(photograph.shape[1] * TRAIN_SHARE)
        train += _patches(photograph[:, :boundary], side, TRAIN_STRIDE)
        validation += _patches(photograph[:, boundary:], side, VALIDATION_STRIDE)
    return _shuffled(train), _shuffled(validation)


def _patches(photograph: np.ndarray, side: int, stride: float) -> list[np.ndarray]:
    image = Image.fromarray(photograph)
    patches = []
    for window in WINDOWS:
        step = int(window * stride)
        for top in range(0, image.height - window + 1, step):
            for left in range(0, image.width - window + 1, step):
                box = (left, top, left + window, top + window)
                patch = image.resize((side, side), Image.Resampling.BOX, box=box)
                patches.append(np.asarray(patch))
    return patches


def _shuffled(patches: list[np.ndarray]) -> np.ndarray:
    return np.stack(patches)[np.random.default_rng(0).permutation(len(patches))]
