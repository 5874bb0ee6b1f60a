"""Small photographs for tests: files of patches of the built-in sample."""

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from jaxcolor.data.photographs import load_sample


def image_bytes(array: np.ndarray, kind: str = "png") -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, format=kind)
    return file.getvalue()


def write_files(folder: Path) -> Path:
    """Write 12 images for training, 4 for validation, a gray one, and a broken one, in nested folders."""
    train, validation = load_sample(32)
    files = {f"train/{index % 2}/{index}.png": image_bytes(train[40 * index]) for index in range(12)}
    files |= {f"val/{index}.jpg": image_bytes(validation[20 * index], "jpeg") for index in range(4)}
    gray = np.repeat(train[0].mean(axis=-1, keepdims=True).astype(np.uint8), 3, axis=-1)
    files |= {"train/gray.png": image_bytes(gray), "train/broken.jpg": b"\xff\xd8\xff", "notes.txt": b"hello"}
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def write_zip(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
    return path
