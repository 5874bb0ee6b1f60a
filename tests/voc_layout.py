"""A small data set in Pascal VOC's layout."""

import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = {"train": ["a", "b", "c", "d", "e"], "val": ["x", "y", "z"]}


def write_voc(folder: Path, sizes: dict[str, tuple[int, int]] | None = None) -> Path:
    """Images whose left half is class 1, red, and whose right half is class 2, blue; between them void."""
    root = folder / "VOCdevkit" / "VOC2012"
    for part in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / part).mkdir(parents=True, exist_ok=True)
    for split, names in NAMES.items():
        (root / "ImageSets/Segmentation" / f"{split}.txt").write_text("".join(f"{n}\n" for n in names))
        for name in names:
            height, width = (sizes or {}).get(name, (48, 64))
            rng = np.random.default_rng(list(name.encode()))
            mask = np.full((height, width), 2, np.uint8)
            mask[:, : width // 2] = 1
            mask[:, width // 2] = 255
            mask[:4] = 0
            image = np.array([[90, 90, 90], [220, 30, 30], [30, 30, 220]])[np.where(mask == 255, 0, mask)]
            image = (image + rng.normal(0, 12, image.shape)).clip(0, 255).astype(np.uint8)
            Image.fromarray(image).save(root / "JPEGImages" / f"{name}.jpg", quality=95)
            palette_image = Image.fromarray(mask)
            palette_image.putpalette(np.arange(256).repeat(3).astype(np.uint8).tobytes())
            palette_image.save(root / "SegmentationClass" / f"{name}.png")
    return folder


def write_voc_tar(folder: Path) -> Path:
    """The same as an archive."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "voc.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(write_voc(folder / "unpacked") / "VOCdevkit", "VOCdevkit")
    return path
