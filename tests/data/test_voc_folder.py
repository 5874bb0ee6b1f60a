from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from voc_layout import NAMES, write_voc

from jaxcolor.data.voc_folder import VocFolder
from jaxcolor.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_voc(tmp_path / "voc", {"b": (30, 40)})


def root(folder: Path) -> Path:
    return folder / "VOCdevkit" / "VOC2012"


def test_examples(folder: Path) -> None:
    examples = VocFolder(folder, "train", 3)
    assert len(examples) == 5
    assert examples.names == NAMES["train"]
    assert examples.sizes[:2] == [(48, 64), (30, 40)]
    name, image, mask = examples[1]
    assert name == "b"
    assert image.shape == (30, 40, 3)
    assert mask[10, [0, 19, 20, 21]].tolist() == [1, 1, 255, 2]
    assert image[10, 0, 0] > 150 > image[10, 39, 0]


def test_the_fingerprint_is_that_of_images_and_masks(folder: Path, tmp_path: Path) -> None:
    before = VocFolder(folder, "train", 3).fingerprint
    for part, mode in (("JPEGImages/a.jpg", "RGB"), ("SegmentationClass/a.png", "L")):
        again = write_voc(tmp_path / mode, {"b": (30, 40)})
        assert VocFolder(again, "train", 3).fingerprint == before
        Image.new(mode, (64, 48)).save(root(again) / part)
        assert VocFolder(again, "train", 3).fingerprint != before


def test_what_is_wrong_is_named_with_its_file(folder: Path) -> None:
    masks, images = root(folder) / "SegmentationClass", root(folder) / "JPEGImages"
    with pytest.raises(UserError, match="a.png has label 2, but there are 2 classes"):
        VocFolder(folder, "train", 2)[0]
    data = (images / "a.jpg").read_bytes()
    (images / "a.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="a.jpg is broken"):
        VocFolder(folder, "train", 3)[0]
    Image.new("RGB", (64, 48)).save(masks / "b.png")
    (images / "a.jpg").write_bytes(data)
    with pytest.raises(UserError, match="b.png: the mask has 48×64 pixels, the image 30×40"):
        VocFolder(folder, "train", 3)
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(masks / "b.png")
    with pytest.raises(UserError, match="b.png is no mask: its pixels are RGB"):
        VocFolder(folder, "train", 3)[1]
    (images / "c.jpg").write_bytes(b"text")
    with pytest.raises(UserError, match="c.jpg is broken, or no image"):
        VocFolder(folder, "train", 3)
    (images / "c.jpg").unlink()
    with pytest.raises(UserError, match="cannot read .*c.jpg: No such file"):
        VocFolder(folder, "train", 3)


def test_a_folder_of_another_layout(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read .*test.txt"):
        VocFolder(folder, "test", 3)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="has no ImageSets/Segmentation"):
        VocFolder(tmp_path / "empty", "train", 3)
    lists = root(folder) / "ImageSets" / "Segmentation"
    (lists / "train.txt").write_text("")
    with pytest.raises(UserError, match="names no image"):
        VocFolder(folder, "train", 3)
    (lists / "train.txt").write_text("a\na\n")
    with pytest.raises(UserError, match="names a image twice"):
        VocFolder(folder, "train", 3)
