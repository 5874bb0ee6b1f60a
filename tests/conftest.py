"""Fixtures: small archives in CIFAR-10's layout, folders that no test shares with the user."""

import io
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

# Shapes and dtypes of all annotated functions are checked, in tests only.
from jaxtyping import install_import_hook

install_import_hook("jaxcolor", "beartype.beartype")

# The user's caches are not touched, and compiled programs are shared by the tests of a session.
_CACHE = tempfile.TemporaryDirectory(prefix="jaxcolor-tests-")
os.environ["XDG_CACHE_HOME"] = _CACHE.name

import jax  # noqa: E402

jax.config.update("jax_numpy_dtype_promotion", "strict")

MakeArchive = Callable[..., Path]
HORSE, CAT = 7, 3


def records(count: int, label: int, seed: int) -> np.ndarray:
    """Records of pictures with smooth colours, so that there is something to learn: uint8 [count, 3073]."""
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


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of 40 horses to train on and 12 to test with, and some cats."""
    return write_tar(tmp_path_factory.mktemp("archive") / "cifar.tar.gz", archive_files(40, 12))


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tests of a session prepare data."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test reaches the network: every connection fails as it does without one."""
    import requests

    def refuse(*_: object, **__: object) -> None:
        raise requests.ConnectionError("no network in tests")

    monkeypatch.setattr(requests.Session, "request", refuse)
    yield
