"""Images and mask files in a folder with the layout of Pascal VOC.

The image files are JPEGImages/NAME.jpg and the mask files SegmentationClass/NAME.png. The names of a split
are in ImageSets/Segmentation/{train,val,trainval}.txt, one per line.
"""

import hashlib
from pathlib import Path

from jaxcolor.data.examples import Example, Size, check_sizes, decode_image, decode_label_map, read_size
from jaxcolor.errors import UserError, reason

SPLITS = Path("ImageSets", "Segmentation")


class VocFolder:
    """A split of a folder, which implements `Examples`. Raises `UserError` if a file is missing."""

    def __init__(self, folder: Path, split: str, classes: int):
        self.folder = find_root(folder)
        self.classes = classes
        self.names = read_names(self.folder / SPLITS / f"{split}.txt")
        self.sizes: list[Size] = []
        digest = hashlib.sha256()
        for name in self.names:
            image, mask = self._image(name), self._mask(name)
            self.sizes.append(read_size(image, str(image)))
            check_sizes(self.sizes[-1], read_size(mask, str(mask)), str(mask))
            for path in (image, mask):
                digest.update(hashlib.md5(path.read_bytes()).digest())
        self.fingerprint = digest.hexdigest()

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Example:
        name = self.names[index]
        image, mask = self._image(name), self._mask(name)
        return Example(name, decode_image(image, str(image)), decode_label_map(mask, str(mask), self.classes))

    def _image(self, name: str) -> Path:
        return self.folder / "JPEGImages" / f"{name}.jpg"

    def _mask(self, name: str) -> Path:
        return self.folder / "SegmentationClass" / f"{name}.png"


def find_root(folder: Path) -> Path:
    """Return the folder that has ImageSets/Segmentation: `folder`, or one below it. Raises `UserError`."""
    found = [path.parents[1] for path in sorted(folder.glob("**/ImageSets/Segmentation"))]
    if len(found) != 1:
        raise UserError(
            f"{folder} has {len(found) or 'no'} ImageSets/Segmentation: --voc-dir must be one folder with "
            "JPEGImages, SegmentationClass and ImageSets/Segmentation/{train,val}.txt"
        )
    return found[0]


def read_names(path: Path) -> list[str]:
    """Return the names in the file of a split. Raises `UserError` for none, or one twice."""
    try:
        names = [line.split()[0] for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error
    if not names:
        raise UserError(f"{path} names no image: write one name per line")
    if len(set(names)) < len(names):
        raise UserError(f"{path} names an image twice: remove one of the lines")
    return names
