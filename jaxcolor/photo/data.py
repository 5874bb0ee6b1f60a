"""Photographs of a folder or a zip archive, or of CIFAR-10, cropped for training.

Files are decoded as they are needed.
"""

import hashlib
import lzma
import math
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxcolor.data.image_files import image_suffixes, open_image, to_rgb
from jaxcolor.errors import UserError, reason
from jaxcolor.files import files_below
from jaxcolor.training.batches import Batches
from jaxcolor.training.progress import Progress
from jaxcolor.training.stream import stream

VALIDATION_FOLDERS = {"val", "validation"}
VALIDATION_SHARE = 0.05  # of the images, where no folder has one of these names
MOST_VALIDATION = 1000  # images
SCALES = (1.0, 1.5)  # of the shorter side of training images, in crops
GRAY_SPREAD = 6  # a photograph whose red, green and blue differ by no more than this is gray
ZIP_ERRORS = (
    OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error,
    lzma.LZMAError,
)  # fmt: skip
ENCRYPTED = 1  # a flag of a member of a zip archive
LISTED = 5  # broken files that are named on the terminal

ImageArray = UInt8[np.ndarray, "_ _ 3"]


class PhotoFile(NamedTuple):
    """A file of a folder or an archive."""

    name: str  # its path in the folder or archive
    read: Callable[[], bytes]
    mark: int  # its size in the folder, or its checksum in the archive

    def open(self, side: int) -> Image.Image:
        """Open the image. A JPEG is decoded at a lower resolution, with sides of at least `side` pixels."""
        try:
            data = self.read()
        except ZIP_ERRORS as error:
            raise UserError(f"cannot read {self.name}: {reason(error)}") from error
        image = open_image(data, self.name)
        image.draft("RGB", (side, side))
        return image


class PhotoArray(NamedTuple):
    """An image in memory."""

    name: str
    array: ImageArray
    mark: int = 0  # the archive has a checksum

    def open(self, side: int) -> Image.Image:
        """Return the image."""
        return Image.fromarray(self.array)


@dataclass(frozen=True)
class Photographs:
    """Images in color, of any sizes."""

    files: Sequence[PhotoFile | PhotoArray]
    sides: Sequence[int]  # of the crops, in pixels. The middles have the first one.

    def __len__(self) -> int:
        return len(self.files)

    def middle(self, index: int) -> ImageArray:
        """Return the square in the middle of an image."""
        return self._crop(index, self.sides[0])

    def crop(self, index: int, side: int, rng: np.random.Generator) -> ImageArray:
        """Return a random square of an image.

        The shorter side of the image is 1 to 1.5 times that of the square, and half of the squares are
        mirrored.
        """
        return self._crop(index, side, rng)

    def _crop(self, index: int, side: int, rng: np.random.Generator | None = None) -> ImageArray:
        scale = rng.uniform(*SCALES) if rng else 1.0
        with self.files[index].open(math.ceil(scale * side)) as image:
            array = to_rgb(image, self.files[index].name)
        factor = side * scale / min(array.shape[:2])
        height, width = (max(side, round(length * factor)) for length in array.shape[:2])
        top, left = (
            rng.integers(length - side + 1) if rng else (length - side) // 2 for length in (height, width)
        )
        # Only the pixels of the square are computed.
        across, down = array.shape[1] / width, array.shape[0] / height
        box = (left * across, top * down, (left + side) * across, (top + side) * down)
        square = Image.fromarray(array).resize((side, side), Image.Resampling.BILINEAR, box)
        if rng and rng.random() < 0.5:
            square = square.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return np.asarray(square)

    def batches(
        self,
        batches: Batches,
        epoch: tuple[int, int] | None = None,
        rows: slice = slice(None),
        start: int = 0,
    ) -> Iterator[dict[str, Any]]:
        """Yield batches of `images` [batch, side, side, 3], and `valid`, which threads decode ahead.

        `epoch` is the seed and the epoch that the sides of the batches and the random crops follow from, or
        None for the middles. `rows` are those that this process decodes, and `start` is the first batch.
        """

        def load(index: int, side: int) -> ImageArray:
            if epoch is None:
                return self.middle(index)
            return self.crop(index, side, np.random.default_rng((*epoch, index)))

        def read(step: int) -> dict[str, Any]:
            images = [load(index, sides[step]) for index in batches.indices[step, rows].tolist()]
            return {"images": np.stack(images), "valid": valid[step, rows]}

        valid = np.ones(batches.indices.shape, np.float32) if batches.valid is None else batches.valid
        sides = np.random.default_rng(epoch or 0).choice(self.sides, len(valid)).tolist()
        return stream(range(start, len(valid)), read)


@dataclass(frozen=True)
class PhotoDataset:
    """The photographs of a run."""

    train: Photographs
    validation: Photographs
    skipped: dict[str, str]  # the problem of each file that is left out, by its name
    source: dict[str, Any]  # entries of config.json

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The description of the data in config.json."""
        files = [*self.train.files, *self.validation.files]
        names = "\n".join(f"{file.name}/{file.mark}" for file in files)
        return {
            **self.source,
            "train": len(self.train),
            "validation": len(self.validation),
            "skipped": len(self.skipped),
            "files_sha256": hashlib.sha256(names.encode(errors="surrogateescape")).hexdigest(),
        }


def find_photographs(
    place: Path, sides: Sequence[int], skipped: dict[str, str] | None = None
) -> PhotoDataset:
    """Return the color images of a folder or a zip archive, nested and of any sizes.

    Those below a folder named val or validation are for validation; without such a folder 5 % of the images,
    chosen by their names. Broken files and gray images are left out, and a line says so. `skipped` are those
    that an earlier run has found. Raises `UserError` if there are no images for training or validation.
    """
    files = list_files(place)
    if not files:
        raise UserError(f"{place} holds no image files")
    if skipped is None:
        skipped = check(files)
        report(skipped, len(files))
    files = [file for file in files if file.name not in skipped]
    if not files:
        raise UserError(f"{place} holds no images in color")
    train, validation = split(files)
    if not train:
        raise UserError(f"all color images of {place} are for validation: add others for training")
    if not validation:
        raise UserError(f"{place} holds a single image in color: add others for validation")
    source = {"name": "photographs"}
    return PhotoDataset(Photographs(train, sides), Photographs(validation, sides), skipped, source)


def load_cifar_photographs(
    category: str,
    archive: Path | None,
    data_dir: Path | None,
    sides: Sequence[int],
    md5: str | None = None,
) -> PhotoDataset:
    """Return images of CIFAR-10. The other arguments are those of `load_cifar10`."""
    from jaxcolor.data.cifar10 import load_cifar10  # importing tensorflow-datasets takes a while

    *splits, md5 = load_cifar10(category, archive, data_dir, md5)
    skipped: dict[str, str] = {}
    kept: list[Photographs] = []
    for split, arrays in zip(("train", "test"), splits, strict=True):
        images = [PhotoArray(f"{split}/{index}", array) for index, array in enumerate(arrays)]
        gray = {image.name: "gray" for image in images if is_gray(image.array)}
        kept.append(Photographs([image for image in images if image.name not in gray], sides))
        skipped |= gray
    report(skipped, sum(map(len, splits)))
    train, test = kept
    source = {"name": "cifar10", "category": category, "archive_md5": md5}
    return PhotoDataset(train, test, skipped, source)


def validation_files(place: Path) -> list[PhotoFile]:
    """Return the color images of a folder or archive below a folder named val, or all if there is none."""
    files = list_files(place)
    if not files:
        raise UserError(f"{place} holds no image files")
    files = [file for file in files if is_for_validation(file)] or files
    skipped = check(files)
    report(skipped, len(files))
    kept = [file for file in files if file.name not in skipped]
    if not kept:
        raise UserError(f"{place} holds no images in color")
    return kept


def list_files(place: Path) -> list[PhotoFile]:
    """Return the files with the suffix of an image in a folder or a zip archive, sorted by name."""
    suffixes = image_suffixes()
    if place.is_dir():
        found = [
            PhotoFile(path.relative_to(place).as_posix(), path.read_bytes, path.stat().st_size)
            for path in files_below(place)
        ]
    elif not place.exists():
        raise UserError(f"there is no {place}: give a folder or a zip archive of images with --image-dir")
    elif zipfile.is_zipfile(place):
        try:
            archive = zipfile.ZipFile(place)
        except ZIP_ERRORS as error:
            raise UserError(f"{place} is damaged: {reason(error)}") from error
        members = archive.infolist()
        if any(info.flag_bits & ENCRYPTED for info in members):
            raise UserError(f"{place} is encrypted: unpack it first")
        found = [PhotoFile(info.filename, partial(archive.read, info), info.CRC) for info in members]
    else:
        raise UserError(f"{place} is neither a folder nor a zip archive of images: unpack it first")
    kept = [
        file
        for file in found
        if PurePosixPath(file.name).suffix.lower() in suffixes
        and not any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(file.name).parts)
    ]
    return sorted(kept, key=lambda file: file.name)


def check(files: Sequence[PhotoFile]) -> dict[str, str]:
    """Return the problem of each file that is no color image, by its name."""
    skipped = {}
    with Progress(len(files), 0) as progress, ThreadPoolExecutor() as pool:
        for file, found in zip(files, pool.map(problem, files), strict=True):
            progress.advance(1, "reading")
            if found:
                skipped[file.name] = found
    return skipped


def problem(file: PhotoFile) -> str | None:
    """Return why an image is of no use for training, or None."""
    try:
        with file.open(32) as image:
            array = to_rgb(image, file.name)
    except UserError as error:
        return str(error)
    return "gray" if is_gray(array) else None


def is_gray(image: ImageArray) -> bool:
    """Return whether red, green and blue are nearly equal, in about 64×64 pixels from all over the image."""
    step = max(1, min(image.shape[:2]) // 64)
    return bool(np.ptp(image[::step, ::step], axis=-1).max() <= GRAY_SPREAD)


def report(skipped: dict[str, str], total: int) -> None:
    """Say how many images are left out, and which files are broken."""
    gray = sum(found == "gray" for found in skipped.values())
    broken = [found for found in skipped.values() if found != "gray"]
    if gray:
        print(f"{gray:,} of {total:,} images are gray: they are left out", flush=True)
    for line in broken[:LISTED]:
        print(f"warning: {line}: it is left out", file=sys.stderr, flush=True)
    if len(broken) > LISTED:
        print(f"warning: {len(broken) - LISTED:,} further files are broken", file=sys.stderr, flush=True)


def split(files: Sequence[PhotoFile]) -> tuple[list[PhotoFile], list[PhotoFile]]:
    """Return the images for training and those for validation."""
    validation = [file for file in files if is_for_validation(file)]
    if not validation:
        by_hash = sorted(files, key=lambda file: hashlib.sha256(file.name.encode(errors="replace")).digest())
        count = min(MOST_VALIDATION, max(1, round(VALIDATION_SHARE * len(files))), len(files) - 1)
        chosen = {file.name for file in by_hash[:count]}
        validation = [file for file in files if file.name in chosen]
    names = {file.name for file in validation}
    return [file for file in files if file.name not in names], validation


def is_for_validation(file: PhotoFile) -> bool:
    """Return whether an image is below a folder named val or validation."""
    return any(part.lower() in VALIDATION_FOLDERS for part in PurePosixPath(file.name).parts[:-1])
