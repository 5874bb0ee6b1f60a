"""The layout of Pascal VOC, in a folder or in an archive: which files belong to a split.

The folders JPEGImages and SegmentationClass hold an image file and a mask file per example, NAME.jpg and
NAME.png or other suffixes. ImageSets/Segmentation/{train,val,trainval}.txt list the names of the splits.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Generic, TypeVar

import numpy as np

from jaxcolor.data.image_files import image_suffixes
from jaxcolor.data.text import read_lines
from jaxcolor.errors import UserError

IMAGES, MASKS, LISTS = "JPEGImages", "SegmentationClass", "ImageSets/Segmentation"
COLUMNS = re.compile(r"[\s,;]+")
File = TypeVar("File")  # a path, or a member of an archive


@dataclass(frozen=True)
class VocLayout(Generic[File]):
    """The files of a data set.

    `files` maps their paths, from the folder of JPEGImages on, to the files. `read` returns the bytes of a
    file, and `show` its name in messages.
    """

    where: Path
    files: Mapping[PurePosixPath, File]
    read: Callable[[File], bytes]
    show: Callable[[File], str] = str

    @cached_property
    def lists(self) -> dict[str, File]:
        """The files of ImageSets/Segmentation, by split."""
        folder = PurePosixPath(LISTS)
        return {
            path.stem: file
            for path, file in self.files.items()
            if path.parent == folder and path.suffix == ".txt"
        }

    @cached_property
    def images(self) -> dict[str, list[File]]:
        """The image files, by name."""
        return self._by_name(IMAGES)

    @cached_property
    def masks(self) -> dict[str, list[File]]:
        """The mask files, by name."""
        return self._by_name(MASKS)

    def names(self, split: str) -> list[str]:
        """Return the names that a list has, in its order.

        A line is a name, or begins with one before a space or comma. A name may have a folder and a suffix.
        Raises `UserError` if there is no such list, if it is empty, and for unknown or repeated names.
        """
        names, problem = self.read_list(split)
        if problem:
            raise UserError(problem)
        return names

    def read_list(self, split: str) -> tuple[list[str], str | None]:
        """Return the names that a list has, and the problem with its other lines, if there are any.

        Raises `UserError` as `names` does, but not for unknown names.
        """
        where = f"{self.where}/{LISTS}/{split}.txt"
        if split not in self.lists:
            raise UserError(
                f"{where} does not exist: list the names of the {split} images in it, or let --split 0.2 "
                "choose a fifth of all images for validation"
            )
        lines = read_lines(self.read(self.lists[split]), where)
        if not lines:
            raise UserError(f"{where} names no image: write one name per line")
        names: dict[str, str] = {}
        unknown = []
        for line in lines:
            name = self._find(line)
            if name is None:
                unknown.append(line)
            elif name in names:
                raise UserError(
                    f"{where} names the image {name} twice, {names[name]!r} and {line!r}: remove one line"
                )
            else:
                names[name] = line
        problem = (
            f"{where}: {IMAGES} has no image {self._describe(unknown, self.images)}" if unknown else None
        )
        return list(names), problem

    def all_names(self) -> list[str]:
        """Return the names of trainval.txt, or of train.txt, or of all images that have a mask, in order."""
        for split in ("trainval", "train"):
            if split in self.lists:
                return self.names(split)
        names = sorted(self.images.keys() & self.masks.keys())
        if len(names) < 2:
            raise UserError(f"{self.where} has {len(names)} images with masks: at least 2 are needed")
        return names

    def pair(self, name: str) -> tuple[File, File]:
        """Return the image file and the mask file of a name. Raises `UserError` unless there is one each."""
        return self._only(name, self.images, IMAGES), self._only(name, self.masks, MASKS)

    def _only(self, name: str, files: Mapping[str, list[File]], folder: str) -> File:
        found = files.get(name, [])
        if not found:
            raise UserError(f"{self.where}/{folder} has no file {self._describe([name], files)}")
        if len(found) > 1:
            raise UserError(f"{self.where}/{folder} has {len(found)} files named {name}: keep one of them")
        return found[0]

    def _by_name(self, folder: str) -> dict[str, list[File]]:
        files: dict[str, list[File]] = {}
        for path, file in self.files.items():
            is_image = path.suffix.lower() in image_suffixes() and not path.name.startswith(".")
            if path.parent == PurePosixPath(folder) and is_image:
                files.setdefault(path.stem, []).append(file)
        return files

    def _find(self, line: str) -> str | None:
        """Return the name of the image that a line names, or None."""
        for text in (line, COLUMNS.split(line)[0]):
            path = PurePosixPath(text.replace("\\", "/"))
            for name in (path.name, path.stem):
                if name in self.images:
                    return name
        return None

    def _describe(self, names: list[str], files: Iterable[str]) -> str:
        """Return the first name, how many others there are, and names that are close."""
        others = f" and {len(names) - 1} others" if len(names) > 1 else ""
        close = difflib.get_close_matches(names[0], list(files), n=1)
        return f"{names[0]}{others}" + (f"; did you mean {close[0]}?" if close else "")


def split_names(names: list[str], share: float, seed: int) -> tuple[list[str], list[str]]:
    """Return train and validation names: a random `share` of the names is for validation, at least one."""
    count = min(max(1, round(share * len(names))), len(names) - 1)
    validation = set(np.random.default_rng((seed, 2)).permutation(len(names))[:count].tolist())
    train = [name for index, name in enumerate(names) if index not in validation]
    return train, [name for index, name in enumerate(names) if index in validation]


def find_root(paths: Iterable[PurePosixPath], where: Path) -> PurePosixPath:
    """Return the folder of JPEGImages and SegmentationClass. Raises `UserError` unless there is just one."""
    folders = {path.parent for path in paths if "__MACOSX" not in path.parts}
    roots = {folder.parent for folder in folders if folder.name == MASKS}
    found = sorted(root for root in roots if root / IMAGES in folders)
    if len(found) != 1:
        count = f"{len(found)} folders" if found else "no folder"
        raise UserError(f"{where} has {count} with {IMAGES} and {MASKS}: it must have one")
    return found[0]
