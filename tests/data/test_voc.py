import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from voc_layout import NAMES, write_voc, write_voc_tar

from jaxcolor.data import voc
from jaxcolor.data.download import file_hash
from jaxcolor.data.label_maps import LabelFormat
from jaxcolor.data.voc import RecordExamples, is_available, last_prepared, load_voc
from jaxcolor.data.voc_archive import open_archive
from jaxcolor.data.voc_examples import VocExamples, open_folder
from jaxcolor.errors import UserError

THREE = LabelFormat(3)


@pytest.fixture(scope="module")
def tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_voc_tar(tmp_path_factory.mktemp("voc"))


def pack(folder: Path) -> Path:
    with tarfile.open(folder.with_suffix(".tar"), "w") as archive:
        archive.add(folder / "VOCdevkit", "VOCdevkit")
    return folder.with_suffix(".tar")


def test_the_records_are_those_of_the_folder(tar: Path, tmp_path: Path) -> None:
    prepared = load_voc(tar, tmp_path)
    assert prepared.md5 == file_hash(tar)
    assert (prepared.names("train"), prepared.names("val")) == (NAMES["train"], NAMES["val"])
    assert prepared.names("trainval") == NAMES["train"] + NAMES["val"] == prepared.all_names()
    train = RecordExamples(prepared, prepared.names("train"), THREE)
    layout = open_folder(tar.parent / "unpacked")
    folder = VocExamples(layout, layout.names("train"), THREE)
    assert train.sizes == folder.sizes
    assert train.names == folder.names
    for index in range(5):
        assert train.palette(index) == folder.palette(index)
        for ours, theirs in zip(train[index], folder[index], strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert "tensorflow" not in sys.modules


def test_the_trainval_list_of_an_archive_counts(tmp_path: Path) -> None:
    folder = write_voc(tmp_path / "mine")
    lists = folder / "VOCdevkit/VOC2012/ImageSets/Segmentation"
    (lists / "trainval.txt").write_text("y\nb\nd\n")
    prepared = load_voc(pack(folder), tmp_path)
    assert prepared.lists == {"train", "val", "trainval"}
    assert prepared.names("trainval") == ["y", "b", "d"] == prepared.all_names()
    assert RecordExamples(prepared, ["d"], THREE)[0].name == "d"
    # One that cannot be used hinders only those who use it.
    (lists / "trainval.txt").write_text("y\nq\n")
    prepared = load_voc(pack(folder), tmp_path)
    assert prepared.names("train") == NAMES["train"]
    with pytest.raises(UserError, match=r"trainval.txt: JPEGImages has no image q"):
        prepared.names("trainval")
    (lists / "val.txt").unlink()
    (lists / "trainval.txt").unlink()
    prepared = load_voc(pack(folder), tmp_path)
    assert prepared.all_names() == NAMES["train"]
    with pytest.raises(UserError, match=r"the archive has no list val.txt in ImageSets/Segmentation: add"):
        prepared.names("val")


def test_links_in_an_archive_are_followed(tmp_path: Path) -> None:
    folder = write_voc(tmp_path / "mine")
    root = folder / "VOCdevkit/VOC2012"
    (root / "JPEGImages").rename(root / "photos")
    (root / "JPEGImages").symlink_to("photos")
    (root / "SegmentationClass/a.png").rename(root / "first.png")
    (root / "SegmentationClass/a.png").symlink_to("../first.png")
    (root / "SegmentationClass/loop").symlink_to("..")
    (root / "SegmentationClass/gone.png").symlink_to("nowhere.png")
    with open_archive(pack(folder)) as layout:
        linked = VocExamples(layout, layout.names("train"), THREE)
        assert "gone" not in layout.masks
        original = open_folder(write_voc(tmp_path / "original"))
        assert linked.fingerprint == VocExamples(original, original.names("train"), THREE).fingerprint


def test_other_files_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.tar").write_text("text")
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as packed:
        packed.writestr("a.txt", "a")
    for name, message in (
        ("text.tar", "text.tar is truncated or not a tar archive$"),
        ("mine.zip", "mine.zip is a zip archive: unpack it, and give the folder with --voc-dir"),
        ("", "is a folder: give it with --voc-dir"),
    ):
        with pytest.raises(UserError, match=message), open_archive(tmp_path / name):
            pass
        with pytest.raises(UserError, match=message):
            load_voc(tmp_path / name, tmp_path / "data")


def test_an_error_beside_an_open_archive_is_not_the_archives(tar: Path) -> None:
    with pytest.raises(FileNotFoundError, match="elsewhere"), open_archive(tar):
        Path("elsewhere").read_bytes()


def test_an_open_archive_is_read_as_a_folder_is(tar: Path) -> None:
    folder = open_folder(tar.parent / "unpacked")
    with open_archive(tar) as layout:
        ours = VocExamples(layout, layout.names("val"), THREE)
        theirs = VocExamples(folder, folder.names("val"), THREE)
        assert ours.fingerprint == theirs.fingerprint
        np.testing.assert_array_equal(ours[1].label_map, theirs[1].label_map)


def test_names_in_another_order_are_other_data(tar: Path, tmp_path: Path) -> None:
    prepared = load_voc(tar, tmp_path)
    some, others = (RecordExamples(prepared, names, THREE) for names in (["x", "b"], ["b", "x"]))
    assert [some[i].name for i in range(2)] == ["x", "b"]
    assert some.fingerprint != others.fingerprint
    assert some.with_format(LabelFormat(2, binary=True)).fingerprint != some.fingerprint
    with pytest.raises(UserError, match="the archive has no image q"):
        RecordExamples(prepared, ["q"], THREE)


def test_an_archive_without_lists_is_not_split(tmp_path: Path) -> None:
    folder = write_voc(tmp_path / "mine")
    for split in NAMES:
        (folder / "VOCdevkit/VOC2012/ImageSets/Segmentation" / f"{split}.txt").unlink()
    prepared = load_voc(pack(folder), tmp_path)
    assert prepared.all_names() == sorted(NAMES["train"] + NAMES["val"])
    assert not prepared.lists
    with pytest.raises(UserError, match=r"has no lists train.txt and val.txt .*--split 0.2"):
        prepared.names("train")


def test_labels_out_of_range_are_named(tar: Path, tmp_path: Path) -> None:
    examples = RecordExamples(load_voc(tar, tmp_path), ["a"], LabelFormat(2))
    with pytest.raises(UserError, match="SegmentationClass/a has label 2"):
        examples[0]


def test_broken_archives(tar: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.tar"
    cut.write_bytes(tar.read_bytes()[: tar.stat().st_size // 2])
    with pytest.raises(UserError, match="cut.tar"):
        load_voc(cut, tmp_path)
    cut.write_bytes(b"")
    with pytest.raises(UserError, match="truncated or not a tar archive"):
        load_voc(cut, tmp_path)
    broken = write_voc(tmp_path / "broken")
    (broken / "VOCdevkit/VOC2012/SegmentationClass/c.png").unlink()
    with pytest.raises(UserError, match=r"broken.tar/SegmentationClass has no mask c"):
        load_voc(pack(broken), tmp_path)
    with pytest.raises(UserError, match="cannot read .*missing.tar"):
        load_voc(tmp_path / "missing.tar", tmp_path)


def test_without_array_record_the_folder_is_wanted(
    tar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voc, "can_prepare", lambda: False)
    with pytest.raises(UserError, match="unpack it and give --voc-dir"):
        load_voc(tar, tmp_path)


def test_without_network_all_mirrors_fail_with_advice(tmp_path: Path) -> None:
    assert not is_available(tmp_path)
    assert last_prepared(tmp_path) is None
    with pytest.raises(UserError, match="from any of 4 servers: give a local copy with --archive FILE"):
        load_voc(None, tmp_path)


def test_the_official_archive_needs_no_network_once_prepared(
    tar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voc, "OFFICIAL_MD5", file_hash(tar))
    load_voc(tar, tmp_path)
    assert is_available(tmp_path)
    assert len(load_voc(None, tmp_path).names("train")) == 5


def test_an_archive_that_has_moved_is_found_by_its_md5(tar: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved.tar"
    moved.write_bytes(tar.read_bytes())
    md5 = load_voc(moved, tmp_path).md5
    moved.unlink()
    assert load_voc(moved, tmp_path, md5).md5 == md5
    assert load_voc(None, tmp_path, md5).md5 == md5 == last_prepared(tmp_path)
    with pytest.raises(UserError, match=r"the archive with md5 0123 is not prepared here: give it"):
        load_voc(None, tmp_path, "0123")
    with pytest.raises(UserError, match=r"cannot read .*moved.tar"):
        load_voc(moved, tmp_path, "0123")
