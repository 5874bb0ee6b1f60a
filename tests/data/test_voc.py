import sys
from pathlib import Path

import numpy as np
import pytest
from voc_layout import write_voc, write_voc_tar

from jaxcolor.data import voc
from jaxcolor.data.download import file_hash
from jaxcolor.data.voc import is_available, load_voc
from jaxcolor.data.voc_folder import VocFolder
from jaxcolor.errors import UserError


@pytest.fixture(scope="module")
def tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_voc_tar(tmp_path_factory.mktemp("voc"))


def test_the_records_are_those_of_the_folder(tar: Path, tmp_path: Path) -> None:
    train, validation, md5 = load_voc("train", 3, tar, tmp_path)
    assert md5 == file_hash(tar)
    assert (len(train), len(validation)) == (5, 3)
    folder = VocFolder(tar.parent / "unpacked", "train", 3)
    assert train.sizes == folder.sizes
    assert train.names == folder.names
    for index in range(5):
        for ours, theirs in zip(train[index], folder[index], strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert "tensorflow" not in sys.modules


def test_trainval_is_both(tar: Path, tmp_path: Path) -> None:
    both, validation, _ = load_voc("trainval", 3, tar, tmp_path)
    assert len(both) == 8
    assert both[7].name == validation[2].name == "z"


def test_labels_out_of_range_are_named(tar: Path, tmp_path: Path) -> None:
    train, _, _ = load_voc("train", 2, tar, tmp_path)
    with pytest.raises(UserError, match="a.png has label 2"):
        train[0]


def test_broken_archives(tar: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.tar"
    cut.write_bytes(tar.read_bytes()[: tar.stat().st_size // 2])
    with pytest.raises(UserError, match="cut.tar is truncated or not a tar archive"):
        load_voc("train", 3, cut, tmp_path)
    cut.write_bytes(b"")
    with pytest.raises(UserError, match="truncated or not a tar archive"):
        load_voc("train", 3, cut, tmp_path)
    broken = write_voc(tmp_path / "broken")
    (broken / "VOCdevkit/VOC2012/SegmentationClass/c.png").unlink()
    import tarfile

    with tarfile.open(tmp_path / "broken.tar", "w") as archive:
        archive.add(broken / "VOCdevkit", "VOCdevkit")
    with pytest.raises(UserError, match="it has no SegmentationClass/c.png"):
        load_voc("train", 3, tmp_path / "broken.tar", tmp_path)
    with pytest.raises(UserError, match="cannot read .*missing.tar"):
        load_voc("train", 3, tmp_path / "missing.tar", tmp_path)


def test_without_network_all_mirrors_fail_with_advice(tmp_path: Path) -> None:
    assert not is_available(tmp_path)
    with pytest.raises(UserError, match="from any of 4 servers: give a local copy with --archive FILE"):
        load_voc("train", 21, None, tmp_path)


def test_the_official_archive_needs_no_network_once_prepared(
    tar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voc, "OFFICIAL_MD5", file_hash(tar))
    load_voc("train", 3, tar, tmp_path)
    assert is_available(tmp_path)
    assert len(load_voc("train", 3, None, tmp_path)[0]) == 5
