"""CIFAR-10 from its official binary archive, as a tensorflow-datasets builder without TensorFlow.

The archive (https://www.cs.toronto.edu/~kriz/cifar.html) has the files `data_batch_1.bin` …
`data_batch_5.bin` and `test_batch.bin` in the folder `cifar-10-batches-bin`. A file is a sequence of
3073-byte records: one byte for the label, then the red, green and blue planes of a 32×32 image, row by row.
"""

import io
import lzma
import sys
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import UInt8
from PIL import Image

from jaxcolor.data.classes import CATEGORIES
from jaxcolor.data.download import download, file_hash, is_downloaded, is_reachable
from jaxcolor.data.prepare import make_builder, prepare
from jaxcolor.errors import UserError, reason

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
OFFICIAL_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
OFFICIAL_COUNTS = {"train": 50_000, "test": 10_000}
ADVICE = "give a local copy with --archive FILE, or train on the built-in images with --dataset sample"
SIDE = 32
RECORD_BYTES = 1 + 3 * SIDE * SIDE
FILES = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}


@dataclass
class ArchiveConfig(tfds.core.BuilderConfig):
    """An archive on disk. `name` is its md5, so each archive has its own records."""

    archive: Path | None = None


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
    """Return the records of each split of an archive. Raises `UserError` for any other file."""
    batches = {}
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if member.isfile() and path.parent.name == "cifar-10-batches-bin":
                    batches[path.name] = tar.extractfile(member).read()  # type: ignore[union-attr]
    except (EOFError, zlib.error, lzma.LZMAError, tarfile.ReadError) as error:
        raise UserError(
            f"{archive} is truncated or not a tar archive ({reason(error)}): "
            f"delete it and download {URL} again"
        ) from error
    except OSError as error:
        raise UserError(f"cannot read {archive}: {reason(error)}") from error

    missing = [name for names in FILES.values() for name in names if name not in batches]
    if missing:
        raise UserError(
            f"{archive} is not a CIFAR-10 archive in binary layout: "
            f"it has no cifar-10-batches-bin/{missing[0]}; download {URL}"
        )
    for name, data in batches.items():
        if name.endswith(".bin") and len(data) % RECORD_BYTES:
            raise UserError(f"{archive}: {name} does not consist of {RECORD_BYTES}-byte records")
    records = {
        split: np.frombuffer(b"".join(batches[name] for name in names), np.uint8).reshape(-1, RECORD_BYTES)
        for split, names in FILES.items()
    }
    for split, rows in records.items():
        if not len(rows):
            raise UserError(f"{archive} holds no {split} records")
        if rows[:, 0].max() >= len(CATEGORIES):
            raise UserError(f"{archive}: a {split} record has label {rows[:, 0].max()}, above 9")
    return records


def load_cifar10(
    category: str, archive: Path | None = None, data_dir: Path | None = None
) -> tuple[UInt8[np.ndarray, "train 32 32 3"], UInt8[np.ndarray, "test 32 32 3"], str]:
    """Return the train images and the test images, in the order of the archive, and the archive's md5.

    `category` is one of `CATEGORIES`, or "all". The default archive is the official one, which is downloaded
    unless `data_dir` (None: the default folder of tfds) has it. Raises `UserError` if it is not available.
    """
    md5 = file_hash(archive) if archive else OFFICIAL_MD5
    builder = _builder(md5, archive, data_dir)
    if archive is None and not builder.is_prepared():
        builder = _builder(md5, download(URL, f"md5:{OFFICIAL_MD5}", _downloads(builder), ADVICE), data_dir)
    prepare(builder)
    counts = {split: builder.info.splits[split].num_examples for split in FILES}
    if archive and md5 != OFFICIAL_MD5:
        print(
            f"warning: {archive} is not the official archive (md5 {md5}, official {OFFICIAL_MD5}); "
            f"it holds {counts['train']:,} of {OFFICIAL_COUNTS['train']:,} train and "
            f"{counts['test']:,} of {OFFICIAL_COUNTS['test']:,} test images; used as it is",
            file=sys.stderr,
        )
    train, test = (_read(builder, split, category) for split in FILES)
    return train, test, md5


def is_available(data_dir: Path | None = None) -> bool:
    """Return whether `data_dir` has the official images, prepared or downloaded, or the server has them."""
    builder = _builder(OFFICIAL_MD5, None, data_dir)
    return (
        builder.is_prepared()
        or is_downloaded(URL, f"md5:{OFFICIAL_MD5}", _downloads(builder))
        or is_reachable(URL)
    )


def _downloads(builder: Cifar10Binary) -> Path:
    return Path(builder.data_path).parents[2] / "downloads"


def _builder(md5: str, archive: Path | None, data_dir: Path | None) -> Cifar10Binary:
    return make_builder(Cifar10Binary, ArchiveConfig(name=md5, archive=archive), data_dir)


def _read(builder: Cifar10Binary, split: str, category: str) -> np.ndarray:
    # Decode only the images of the category.
    source = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
    label = None if category == "all" else CATEGORIES.index(category)
    kept = [r["image"] for r in (source[i] for i in range(len(source))) if label in (None, r["label"])]
    if not kept:
        raise UserError(
            f"the archive has no {split} images of the category {category}: choose another --category"
        )
    return np.stack([np.asarray(Image.open(io.BytesIO(png))) for png in kept])
