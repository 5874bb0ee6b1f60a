"""Small archives in CIFAR-10's binary layout."""

import io
import tarfile
from pathlib import Path

import numpy as np

HORSE, CAT = 7, 3


def records(count: int, label: int, seed: int) -> np.ndarray:
    """Records of images with smooth colors, so that there is something to learn: uint8 [count, 3073]."""
    rng = np.random.default_rng((label, seed))
    corners = rng.uniform(0, 255, (count, 3, 2, 2))
    t = np.linspace(0, 1, 32)
    blend = np.stack([1 - t, t])  # [2, 32]
    planes = np.einsum("ncij,ih,jw->nchw", corners, blend, blend)
    labels = np.full((count, 1), label, np.uint8)
    return np.concatenate([labels, planes.reshape(count, -1).astype(np.uint8)], axis=1)


def write_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def archive_files(train: int, test: int) -> dict[str, bytes]:
    """The files of an archive with so many horses, and a third as many cats, in each split."""
    splits = {}
    for seed, (split, count) in enumerate({"train": train, "test": test}.items()):
        both = np.concatenate([records(count, HORSE, seed), records(-(-count // 3), CAT, seed)])
        splits[split] = both[np.random.default_rng(seed).permutation(len(both))]
    batches = np.array_split(splits["train"], 5)
    files = {f"cifar-10-batches-bin/data_batch_{i + 1}.bin": b.tobytes() for i, b in enumerate(batches)}
    return files | {"cifar-10-batches-bin/test_batch.bin": splits["test"].tobytes()}
