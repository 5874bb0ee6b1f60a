"""The layout of Pascal VOC, in a folder or in an archive: which files belong to a split.

The folders JPEGImages and SegmentationClass hold an image file and a mask file per example, NAME.jpg and
NAME.png or other suffixes. ImageSets/Segmentation/{train,val,trainval}.txt list the names of the splits.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Generic, TypeVar

import numpy as np

from jaxcolor.data.image_files import image_suffixes
from jaxcolor.data.text import read_lines
from jaxcolor.data.voc_names import (
    describe_unknown,
    find_affixes,
    find_name,
    is_unicode,
    normalized,
    other_image,
    other_mask,
)
from jaxcolor.errors import UserError

IMAGES, MASKS, LISTS = "JPEGImages", "SegmentationClass", "ImageSets/Segmentation"
FOLDERS = (IMAGES, MASKS, *LISTS.split("/"))  # their names
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
        """The mask files, by the name of their image.

        All masks may have the same text before or after that name, such as `NAME_mask.png`.
        """
        masks = self._by_name(MASKS)
        before, after = self.mask_affixes
        return {name[len(before) : len(name) - len(after)]: files for name, files in masks.items()}

    @cached_property
    def mask_affixes(self) -> tuple[str, str]:
        """The text before and after the name of the image in the names of masks."""
        masks = self._by_name(MASKS)
        return ("", "") if masks.keys() & self.images.keys() else find_affixes(masks, self.images)

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

        Raises `UserError` as `names` does, but not for unknown and repeated names.
        """
        where = f"{self.where}/{LISTS}/{split}.txt"
        if split == "trainval" and split not in self.lists and self.lists.keys() >= {"train", "val"}:
            return list(dict.fromkeys(self.names("train") + self.names("val"))), None
        if split not in self.lists:
            raise UserError(
                f"{where} does not exist: list the names of the {split} images in it, or let --split 0.2 "
                "choose a fifth of all images for validation"
            )
        lines = read_lines(self.read(self.lists[split]), where)
        if not lines:
            raise UserError(f"{where} names no image: write one name per line")
        names: dict[str, str] = {}
        unknown, repeated = [], []
        for line in lines:
            name, rest = find_name(line, self.images)
            if name is None:
                unknown.append(line)
                continue
            if name in names:
                spellings = "" if names[name] == line else f", {names[name]!r} and {line!r}"
                repeated.append(f"{where} names {name} twice{spellings}: remove one line")
                continue
            if (other := other_mask(rest, name, self.mask_affixes)) is not None:
                raise UserError(
                    f"{where}: the line {line!r} names the image {name} and the mask {other}: give an image "
                    "and its mask the same name"
                )
            if (second := other_image(rest, name, self.images)) is not None:
                raise UserError(
                    f"{where}: the line {line!r} names the images {name} and {second}: write one per line"
                )
            names[name] = line
        problems = repeated[:1]
        if unknown:
            problems.append(
                f"{where}: {IMAGES} has no image {describe_unknown(unknown, self.images)}{self._nested()}"
            )
        return list(names), "; ".join(problems) or None

    def all_names(self) -> list[str]:
        """Return the names of trainval.txt, or of train.txt, or of all images that have a mask, in order.

        A line tells how many images have no mask, and masks no image.
        """
        for split in ("trainval", "train"):
            if split in self.lists:
                return self.names(split)
        names = sorted(self.images.keys() & self.masks.keys())
        alone = self.alone()
        if len(names) < 2:
            reasons = "".join(f"; {line}" for line in alone)
            raise UserError(
                f"{self.where} has {len(names)} images with masks: at least 2 are needed"
                f"{reasons}{self._nested()}"
            )
        for line in alone:
            print(f"warning: {self.where}: {line}: left out", file=sys.stderr, flush=True)
        return names

    def alone(self) -> list[str]:
        """Return a line if images have no mask, and a line if masks have no image."""
        images, masks = self.images.keys(), self.masks.keys()
        lines = []
        for noun, names, other in (("image", images - masks, "mask"), ("mask", masks - images, "image")):
            if names:
                verb = " has" if len(names) == 1 else "s have"
                lines.append(f"{len(names)} {noun}{verb} no {other}, {min(names)} among them")
        return lines

    def pair(self, name: str) -> tuple[File, File]:
        """Return the image file and the mask file of a name. Raises `UserError` unless there is one each."""
        return self._only(name, self.images, IMAGES), self._only(name, self.masks, MASKS)

    def _only(self, name: str, files: Mapping[str, list[File]], folder: str) -> File:
        name = normalized(name)
        if not is_unicode(name):
            raise UserError(f"the name of the file {name!a} in {folder} is not in UTF-8: rename it")
        found = files.get(name, [])
        if not found:
            noun = "image" if folder == IMAGES else "mask"
            raise UserError(f"{self.where}/{folder} has no {noun} {describe_unknown([name], files)}")
        if len(found) > 1:
            raise UserError(f"{self.where}/{folder} has {len(found)} files named {name}: keep one of them")
        return found[0]

    def _by_name(self, folder: str) -> dict[str, list[File]]:
        files: dict[str, list[File]] = {}
        suffixes = image_suffixes()
        for path, file in self.files.items():
            is_image = path.suffix.lower() in suffixes and not path.name.startswith(".")
            if path.parent == PurePosixPath(folder) and is_image:
                files.setdefault(normalized(path.stem), []).append(file)
        return files

    def _nested(self) -> str:
        """Return advice for the end of a line, if images lie in folders of JPEGImages."""
        for path in self.files:
            if path.parts[0] == IMAGES and len(path.parts) > 2 and path.suffix.lower() in image_suffixes():
                return f" (files in folders below, such as {path}, are not read: move them into {IMAGES})"
        return ""


def split_names(names: list[str], share: float, seed: int) -> tuple[list[str], list[str]]:
    """Return train and validation names: a random `share` of the names is for validation, at least one.

    Raises `UserError` if there are less than two names.
    """
    if len(names) < 2:
        raise UserError(
            f"--split needs at least 2 images, but there is {len(names)}: list more, or all, images"
        )
    count = min(max(1, round(share * len(names))), len(names) - 1)
    validation = set(np.random.default_rng((seed, 2)).permutation(len(names))[:count].tolist())
    train = [name for index, name in enumerate(names) if index not in validation]
    return train, [name for index, name in enumerate(names) if index in validation]


def find_root(paths: Iterable[PurePosixPath], where: Path) -> PurePosixPath:
    """Return the folder of JPEGImages and SegmentationClass. Raises `UserError` unless there is just one."""
    folders = {folder for path in paths if "__MACOSX" not in path.parts for folder in path.parents}
    roots = {folder.parent for folder in folders if folder.name == MASKS}
    found = sorted(root for root in roots if root / IMAGES in folders)
    if len(found) > 1:
        raise UserError(f"{where} has {len(found)} folders with {IMAGES} and {MASKS}: it must have one")
    if not found:
        raise UserError(f"{where} has no folder with {IMAGES} and {MASKS}: {_missing(folders)}")
    return found[0]


def _missing(folders: Iterable[PurePosixPath]) -> str:
    """Return which of the two folders is not there."""
    names = {folder.name for folder in folders}
    for name in (IMAGES, MASKS):
        for other in sorted(names - {name}):
            if other.lower() == name.lower():
                return f"rename {other} to {name}"
    missing = [name for name in (IMAGES, MASKS) if name not in names]
    if not missing:
        return "both must lie in the same folder"
    return f"{' and '.join(missing)} {'are' if missing[1:] else 'is'} missing or empty"
