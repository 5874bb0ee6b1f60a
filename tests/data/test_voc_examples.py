from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from voc_layout import NAMES, write_voc

from jaxcolor.data.label_maps import LabelFormat
from jaxcolor.data.voc_examples import VocExamples, open_folder
from jaxcolor.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_voc(tmp_path / "voc", {"b": (30, 40)})


def root(folder: Path) -> Path:
    return folder / "VOCdevkit" / "VOC2012"


def read(folder: Path, classes: int = 3) -> VocExamples:
    layout = open_folder(folder)
    return VocExamples(layout, layout.names("train"), LabelFormat(classes))


def test_examples(folder: Path) -> None:
    examples = read(folder)
    assert len(examples) == 5
    assert examples.names == NAMES["train"]
    assert examples.sizes[:2] == [(48, 64), (30, 40)]
    name, image, mask = examples[1]
    assert name == "b"
    assert image.shape == (30, 40, 3)
    assert mask[10, [0, 19, 20, 21]].tolist() == [1, 1, 255, 2]
    assert image[10, 0, 0] > 150 > image[10, 39, 0]
    assert examples.palette(1) == {label: (label, label, label) for label in (0, 1, 2, 255)}


def test_the_fingerprint_is_that_of_images_masks_and_their_format(folder: Path, tmp_path: Path) -> None:
    before = read(folder).fingerprint
    for part, mode in (("JPEGImages/a.jpg", "RGB"), ("SegmentationClass/a.png", "L")):
        again = write_voc(tmp_path / mode, {"b": (30, 40)})
        assert read(again).fingerprint == before
        Image.new(mode, (64, 48)).save(root(again) / part)
        assert read(again).fingerprint != before
    other = read(folder).with_format(LabelFormat(2, binary=True))
    assert other.fingerprint != before
    assert other.names == NAMES["train"]


def test_an_upright_mask_fits_a_photograph_that_lies_on_its_side(folder: Path) -> None:
    image = Image.open(root(folder) / "JPEGImages" / "a.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = image.transpose(Image.Transpose.ROTATE_90)
    assert turned.size == (48, 64)
    turned.save(root(folder) / "JPEGImages" / "a.jpg", quality=95, exif=exif)
    examples = read(folder)
    assert examples.sizes[0] == (48, 64)
    assert abs(examples[0].image.astype(int) - np.asarray(image).astype(int)).mean() < 8


def test_a_broken_file_is_named(folder: Path) -> None:
    masks, images = root(folder) / "SegmentationClass", root(folder) / "JPEGImages"
    with pytest.raises(UserError, match="a.png has label 2, but there are 2 classes"):
        read(folder, 2)[0]
    data = (images / "a.jpg").read_bytes()
    (images / "a.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="a.jpg is broken"):
        read(folder)[0]
    Image.new("RGB", (64, 48)).save(masks / "b.png")
    with pytest.raises(UserError, match="b.png has 48×64 pixels, but its image has 30×40: resize"):
        read(folder)
    (masks / "b.png").unlink()
    with pytest.raises(UserError, match="SegmentationClass has no mask b"):
        read(folder)
    (images / "c.jpg").write_bytes(b"text")
    (masks / "b.png").write_bytes((masks / "c.png").read_bytes())
    with pytest.raises(UserError, match=r"b.png has 48×64 pixels|c.jpg is broken, or not an image"):
        read(folder)


def test_another_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="has no folder with JPEGImages and SegmentationClass"):
        open_folder(tmp_path / "empty")
    with pytest.raises(UserError, match=r"cannot read the folder .*none: it does not exist"):
        open_folder(tmp_path / "none")
    (tmp_path / "mine.tar").write_bytes(b"text")
    with pytest.raises(UserError, match=r"mine.tar is a file: give a tar archive with --archive"):
        open_folder(tmp_path / "mine.tar")


def test_links_to_folders_are_followed(folder: Path, tmp_path: Path) -> None:
    before = read(folder).fingerprint
    (root(folder) / "JPEGImages").rename(tmp_path / "photos")
    (root(folder) / "JPEGImages").symlink_to(tmp_path / "photos")
    (root(folder) / "SegmentationClass" / "loop").symlink_to(folder)
    assert read(folder).fingerprint == before
