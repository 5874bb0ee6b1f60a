"""A folder with the layout of VOC, as `jaxcolor segment` reads it."""

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxcolor.data.classes import voc_colors
from jaxcolor.data.voc_layout import IMAGES, LISTS, MASKS
from jaxcolor.data.voc_names import normalized

UNSAFE = re.compile(r"[^\w.() +@~=-]|[\ud800-\udfff]")  # characters that files and lists may not hold


class VocFolder:
    """Writes images, masks and lists below a folder. Images keep their bytes."""

    def __init__(self, folder: Path, classes: bytes):
        self._folder = folder
        for name in (IMAGES, MASKS):
            (folder / name).mkdir()
        (folder / "classes.txt").write_bytes(classes)

    def add(self, name: str, file: Path | bytes, suffix: str, label_map: UInt8[np.ndarray, "_ _"]) -> None:
        """Write an image and its mask."""
        image = self._folder / IMAGES / f"{name}{suffix}"
        if isinstance(file, bytes):
            image.write_bytes(file)
        else:
            shutil.copyfile(file, image)
        mask = Image.fromarray(label_map)
        mask.putpalette(voc_colors().tobytes())
        mask.save(self._folder / MASKS / f"{name}.png")

    def write_list(self, split: str, names: Sequence[str]) -> None:
        """Write ImageSets/Segmentation/SPLIT.txt."""
        path = self._folder / LISTS / f"{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


class Names:
    """Names of images that differ, also where upper and lower case are the same.

    An image is named as its file is. Later images of that name have their folders before it, and if that is
    not enough, a number after it.
    """

    def __init__(self) -> None:
        self.changed = 0  # images with another name than their file
        self._taken: set[str] = set()

    def choose(self, path: PurePosixPath) -> str:
        """Return the name of an image."""
        for name in candidates(path):
            if name.casefold() not in self._taken:
                self._taken.add(name.casefold())
                self.changed += name != normalized(path.name)
                return name
        raise AssertionError("there is always another number")


def candidates(path: PurePosixPath) -> Iterator[str]:
    """Yield names for an image, the best first."""
    yield safe(path.name)
    whole = safe("_".join(path.parts))
    yield whole
    number = 2
    while True:
        yield f"{whole}-{number}"
        number += 1


def safe(name: str) -> str:
    """Return a name that a file and a line of a list can hold."""
    return UNSAFE.sub("_", normalized(name)).strip(" .") or "image"
