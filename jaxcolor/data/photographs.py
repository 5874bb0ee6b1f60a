"""The built-in sample for colorization: patches of eight photographs that installed packages contain.

The left part of each photograph is for training, the right part for validation.
"""

from importlib.resources import as_file, files

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxcolor.data.image_files import read_image

# Package and file of each photograph. All are free to use. The packages name the photographers.
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
CAMERA = ("skimage", "data/camera.png")  # a photograph on gray film, which is not part of the sample
TRAIN_SHARE = 0.75  # of each photograph's width
WINDOWS = (64, 96, 128, 192)  # sides of the squares that are shrunk to patches, in pixels of the photograph
TRAIN_STRIDE = 3 / 8  # of the window's side
VALIDATION_STRIDE = 1 / 2


def load_photographs() -> list[UInt8[np.ndarray, "_ _ 3"]]:
    """Return the photographs, which have different heights and widths."""
    return [load_photograph(package, name) for package, name in PHOTOGRAPHS]


def load_photograph(package: str, name: str) -> UInt8[np.ndarray, "_ _ 3"]:
    """Return a photograph that an installed package contains."""
    with as_file(files(package).joinpath(name)) as path:
        return read_image(path)


def load_sample(
    side: int = 32,
) -> tuple[UInt8[np.ndarray, "train side side 3"], UInt8[np.ndarray, "validation side side 3"]]:
    """Return the train patches and the validation patches, which are the same in every call.

    Patches of a split overlap, patches of different splits do not. A fixed permutation mixes the photographs.
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
