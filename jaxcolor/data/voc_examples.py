"""The examples of a folder or an open archive with the layout of Pascal VOC."""

import hashlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from jaxcolor.data.examples import Example, MaskExamples, check_sizes
from jaxcolor.data.image_files import Size, read_image, read_size
from jaxcolor.data.label_maps import Color, LabelFormat, read_label_map, read_palette
from jaxcolor.data.voc_layout import FOLDERS, VocLayout, find_root
from jaxcolor.errors import UserError, reason
from jaxcolor.files import files_below


def open_folder(folder: Path) -> VocLayout[Path]:
    """Return the files of the folder itself, or of the only one below it, that has the layout.

    Raises `UserError` if there is none.
    """
    if folder.is_file():
        raise UserError(f"{folder} is a file: give a tar archive with --archive, and unpack any other one")
    if not folder.is_dir():
        raise UserError(f"cannot read the folder {folder}: it does not exist")
    files = {
        PurePosixPath(path.relative_to(folder).as_posix()): path for path in files_below(folder, FOLDERS)
    }
    root = find_root(files, folder)
    inside = {path.relative_to(root): file for path, file in files.items() if path.is_relative_to(root)}
    return VocLayout(folder / root, inside, _read)


class VocExamples(MaskExamples):
    """The examples with some names, which implement `Examples`.

    Raises `UserError` if a file is missing, or if an image and its mask differ in size.
    """

    def __init__(self, layout: VocLayout[Any], names: Sequence[str], label_format: LabelFormat):
        self._layout = layout
        self._pairs = [layout.pair(name) for name in names]
        sizes: list[Size] = []
        digest = hashlib.sha256()
        for pair in self._pairs:
            files = [(layout.read(file), layout.show(file)) for file in pair]
            image_size, mask_size = (read_size(*file) for file in files)
            check_sizes(image_size, mask_size, files[1][1])
            sizes.append(image_size)
            for data, _ in files:
                digest.update(hashlib.md5(data).digest())
        super().__init__(names, sizes, digest.hexdigest(), label_format)

    def __getitem__(self, index: int) -> Example:
        (image, image_name), (mask, mask_name) = (self._file(index, part) for part in (0, 1))
        label_map = read_label_map(mask, self.label_format, mask_name)
        return Example(self.names[index], read_image(image, image_name), label_map)

    def palette(self, index: int) -> dict[int, Color]:
        """Return the colors of the labels in a palette mask."""
        return read_palette(*self._file(index, 1))

    def _file(self, index: int, part: int) -> tuple[bytes, str]:
        """Return the image file (part 0) or the mask file (part 1) of an example, and its name."""
        file = self._pairs[index][part]
        return self._layout.read(file), self._layout.show(file)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error
