"""CIFAR-10 from its official binary archive, as a tensorflow-datasets builder without TensorFlow.

The archive (https://www.cs.toronto.edu/~kriz/cifar.html) has the files `data_batch_1.bin` …
`data_batch_5.bin` and `test_batch.bin` in the folder `cifar-10-batches-bin`. A file is a sequence of
3073-byte records: one byte for the label, then the red, green and blue planes of a 32×32 image, row by row.
"""

import io
import itertools
import lzma
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import UInt8
from PIL import Image

from jaxcolor.data.classes import CATEGORIES
from jaxcolor.data.download import download, is_downloaded, is_reachable
from jaxcolor.data.prepare import can_prepare, find_builder, prepare, prepared_before
from jaxcolor.errors import UserError, reason
from jaxcolor.files import files_below

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
OFFICIAL_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
OFFICIAL_COUNTS = {"train": 50_000, "test": 10_000}
ADVICE = "give a local copy with --archive FILE, or train on the built-in images with --dataset sample"
SIDE = 32
RECORD_BYTES = 1 + 3 * SIDE * SIDE
# Files of CIFAR-10's other archives.
OTHER_VERSIONS = {"data_batch_1": "Python version", "data_batch_1.mat": "Matlab version"}
FILES = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}


class Cifar10Binary(tfds.core.GeneratorBasedBuilder):
    """Images and labels of one archive in the official binary layout."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(shape=(SIDE, SIDE, 3)),
            "label": tfds.features.ClassLabel(names=list(CATEGORIES)),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            homepage=URL,
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        assert self.builder_config.archive, "preparing needs an archive"
        records = read_archive(self.builder_config.archive)
        return {split: self._generate_examples(records[split]) for split in FILES}

    def _generate_examples(self, records: np.ndarray) -> Iterator[tuple[int, dict]]:
        for key, record in enumerate(records):
            image = record[1:].reshape(3, SIDE, SIDE).transpose(1, 2, 0)
            # tfds would use TensorFlow to encode an array.
            png = io.BytesIO()
            Image.fromarray(image).save(png, format="png", compress_level=1)
            yield key, {"image": io.BytesIO(png.getvalue()), "label": int(record[0])}


def read_archive(archive: Path) -> dict[str, UInt8[np.ndarray, "_ 3073"]]:
    """Return the records of each split of an archive, or of the folder into which it was unpacked.

    The files may lie in any folder. Raises `UserError` for any other archive.
    """
    batches = read_files(archive, {*itertools.chain(*FILES.values()), *OTHER_VERSIONS})
    if version := next((name for name in OTHER_VERSIONS if name in batches), None):
        raise UserError(f"{archive} is CIFAR-10's {OTHER_VERSIONS[version]}: take the binary version, {URL}")
    missing = [name for names in FILES.values() for name in names if name not in batches]
    if missing:
        raise UserError(
            f"{archive} is not a CIFAR-10 archive in binary layout: it has no {missing[0]}; download {URL}"
        )
    for name, data in batches.items():
        if len(data) % RECORD_BYTES:
            raise UserError(f"{archive}: {name} does not consist of {RECORD_BYTES}-byte records")
    records = {
        split: np.frombuffer(b"".join(batches[name] for name in names), np.uint8).reshape(-1, RECORD_BYTES)
        for split, names in FILES.items()
    }
    for split, rows in records.items():
        if not len(rows):
            raise UserError(f"{archive} holds no {split} records")
        if empty := next((name for name in FILES[split] if not batches[name]), None):
            raise UserError(f"{archive}: {empty} is empty: download {URL} again")
        if rows[:, 0].max() >= len(CATEGORIES):
            raise UserError(f"{archive}: a {split} record has label {rows[:, 0].max()}, above 9")
    return records


def read_files(archive: Path, names: Collection[str]) -> dict[str, bytes]:
    """Return the files of an archive or a folder that have these names. Raises `UserError`."""
    found: dict[str, bytes] = {}
    try:
        for name, read in _files(archive):
            if name in names:
                if name in found:
                    raise UserError(f"{archive} has two files {name}: give the folder of one of them")
                found[name] = read()
    except (EOFError, zlib.error, lzma.LZMAError, tarfile.ReadError) as error:
        if zipfile.is_zipfile(archive):
            raise UserError(f"{archive} is a zip archive: unpack it, and give the folder") from error
        raise UserError(
            f"{archive} is truncated or not a tar archive ({reason(error)}): "
            f"delete it and download {URL} again"
        ) from error
    except OSError as error:
        raise UserError(f"cannot read {archive}: {reason(error)}") from error
    return found


def _files(archive: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield the name of each file, and a function that reads it."""
    if archive.is_dir():
        for path in files_below(archive):
            yield path.name, path.read_bytes
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isreg() or member.islnk():
                yield PurePosixPath(member.name).name, partial(_read_member, tar, member)


def _read_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file, "the member is a file"
    return file.read()


def load_cifar10(
    category: str, archive: Path | None = None, data_dir: Path | None = None, md5: str | None = None
) -> tuple[UInt8[np.ndarray, "train 32 32 3"], UInt8[np.ndarray, "test 32 32 3"], str]:
    """Return the train images and the test images, in the order of the archive, and the archive's md5.

    `category` is one of `CATEGORIES`, or "all". `md5` is that of an earlier run's archive, or None. The
    default archive is the official one, which is downloaded unless `data_dir` (None: the default folder of
    tfds) has it. Where records cannot be prepared, the archive itself is read. Raises `UserError` if the
    archive is not available.
    """
    builder = find_builder(Cifar10Binary, OFFICIAL_MD5, archive, data_dir, md5)
    if archive is None and not builder.is_prepared():
        if builder.builder_config.name != OFFICIAL_MD5:
            raise UserError(f"the archive with md5 {md5} is not prepared here: give it with --archive FILE")
        archive = download(URL, f"md5:{OFFICIAL_MD5}", _downloads(builder), ADVICE)
        builder = find_builder(Cifar10Binary, OFFICIAL_MD5, archive, data_dir)
    if archive and not can_prepare():
        records = read_archive(archive)
        counts = {split: len(rows) for split, rows in records.items()}
        train, test = (_images(records[split], split, category) for split in FILES)
    else:
        prepare(builder)
        counts = {split: builder.info.splits[split].num_examples for split in FILES}
        train, test = (_read(builder, split, category) for split in FILES)
    md5 = builder.builder_config.name
    if md5 != OFFICIAL_MD5:
        print(
            f"warning: {archive or 'the prepared archive'} is not the official one (md5 {md5}, official "
            f"{OFFICIAL_MD5}): it has {counts['train']:,} of {OFFICIAL_COUNTS['train']:,} train and "
            f"{counts['test']:,} of {OFFICIAL_COUNTS['test']:,} test images",
            file=sys.stderr,
        )
    return train, test, md5


def is_available(data_dir: Path | None = None) -> bool:
    """Return whether `data_dir` has the official images, prepared or downloaded, or the server has them."""
    builder = find_builder(Cifar10Binary, OFFICIAL_MD5, None, data_dir)
    return (
        builder.is_prepared()
        or is_downloaded(URL, f"md5:{OFFICIAL_MD5}", _downloads(builder))
        or is_reachable(URL)
    )


def last_prepared(data_dir: Path | None = None) -> str | None:
    """Return the md5 of the archive that `data_dir` has records of, the last one if there are several."""
    return prepared_before(find_builder(Cifar10Binary, OFFICIAL_MD5, None, data_dir))


def _downloads(builder: Cifar10Binary) -> Path:
    return Path(builder.data_path).parents[2] / "downloads"


def _read(builder: Cifar10Binary, split: str, category: str) -> np.ndarray:
    # Decode only the images of the category.
    source = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
    label = None if category == "all" else CATEGORIES.index(category)
    kept = [r["image"] for r in (source[i] for i in range(len(source))) if label in (None, r["label"])]
    _check_any(len(kept), split, category)
    return np.stack([np.asarray(Image.open(io.BytesIO(png))) for png in kept])


def _images(records: UInt8[np.ndarray, "_ 3073"], split: str, category: str) -> np.ndarray:
    """Return the images of a category, uint8 [n, 32, 32, 3], from the records of a file."""
    if category != "all":
        records = records[records[:, 0] == CATEGORIES.index(category)]
    _check_any(len(records), split, category)
    return records[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)


def _check_any(count: int, split: str, category: str) -> None:
    if not count:
        raise UserError(
            f"the archive has no {split} images of the category {category}: choose another --category"
        )
