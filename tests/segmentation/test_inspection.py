import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from voc_layout import NAMES, write_voc, write_voc_tar

from jaxcolor.errors import UserError
from jaxcolor.segmentation.inspection import inspect

REPORT = """\
{where}: 8 images, 8 masks
train: 5 images that can be read; height×width 48×64 (5)
val: 3 images that can be read; height×width 48×64 (2), 30×40 (1)

label  class  train: pixels, masks  val: pixels, masks
    0  sky           8.45 %      5       9.29 %      3
    1  road         46.50 %      5      46.14 %      3
    2  car          45.05 %      5      44.56 %      3
    3  cat                       —                   —
  255  void          1.43 %      5       1.55 %      3

no problems
examples: inspect-{name}.png
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def names(tmp_path: Path) -> str:
    (tmp_path / "names.txt").write_text("sky\nroad\ncar\ncat\n")
    return str(tmp_path / "names.txt")


def test_a_report_has_counts_sizes_and_classes(
    tmp_path: Path, names: str, capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    folder = write_voc(tmp_path / "mine", {"y": (30, 40)})
    inspect(folder, names)
    out, err = capsys.readouterr()
    assert out == REPORT.format(where=folder / "VOCdevkit/VOC2012", name="mine")
    assert err.splitlines() == [
        "warning: no train mask has the class cat", "warning: no val mask has the class cat",
    ]  # fmt: skip
    sheet = Image.open(here / "inspect-mine.png")
    # A row each of 4 and 3 examples, with 240 pixels per column.
    assert sheet.height > 7 * 180
    assert sheet.width > 3 * 240
    colors = {color for _, color in sheet.getcolors(maxcolors=10**6) or []}
    assert {(0, 114, 178), (230, 159, 0), (0, 158, 115), (224, 224, 192)} <= colors


def test_an_archive_is_reported_as_its_folder_is(
    tmp_path: Path, names: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tar = write_voc_tar(tmp_path / "tar")
    inspect(tar, names, tmp_path / "sheet.png")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{tar}: 8 images, 8 masks"
    assert lines[-1] == f"examples: {tmp_path / 'sheet.png'}"
    assert (tmp_path / "sheet.png").is_file()


def test_a_sheet_has_the_format_of_its_suffix(tmp_path: Path) -> None:
    tar = write_voc_tar(tmp_path / "tar")
    inspect(tar, "3", tmp_path / "sheet.jpg")
    assert (tmp_path / "sheet.jpg").read_bytes().startswith(b"\xff\xd8\xff")
    with pytest.raises(UserError, match=r"sheet.xyz: no image format has the suffix .xyz: use .png or .jpg"):
        inspect(tar, "3", tmp_path / "sheet.xyz")
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match=r"/file'$"):
        inspect(tar, "3", tmp_path / "file" / "sheet.png")
    with pytest.raises(UserError, match=r"--classes is empty"):
        inspect(tar, "")


def test_all_problems_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_voc(tmp_path / "mine")
    root = folder / "VOCdevkit/VOC2012"
    (root / "SegmentationClass/a.png").unlink()
    (root / "JPEGImages/b.jpg").write_bytes(b"text")
    Image.new("L", (5, 5)).save(root / "SegmentationClass/c.png")
    (root / "SegmentationClass/d.png").write_bytes((root / "SegmentationClass/d.png").read_bytes()[:-30])
    (root / "ImageSets/Segmentation/val.txt").write_text("x\nq\n")
    Image.new("L", (5, 5)).save(root / "SegmentationClass/alone.png")
    with pytest.raises(UserError, match=r"mine has 6 problems, listed above"):
        inspect(folder)
    listed = capsys.readouterr().out.split("6 problems:\n")[1].splitlines()[:6]
    expected = [
        "val.txt: JPEGImages has no image q", "1 mask has no image, alone among them",
        "SegmentationClass has no mask a", "b.jpg is broken, or not an image",
        "c.png has 5×5 pixels, but its image has 48×64: resize one of them", "d.png is broken",
    ]  # fmt: skip
    for line, part in zip(listed, expected, strict=True):
        assert part in line


def test_without_lists_all_images_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_voc(tmp_path / "mine")
    for split in NAMES:
        (folder / f"VOCdevkit/VOC2012/ImageSets/Segmentation/{split}.txt").unlink()
    inspect(folder)
    out = capsys.readouterr().out
    assert "no problems" in out
    assert "no mask, " not in out
    assert "all: 8 images that can be read" in out
    assert "there are no lists train.txt and val.txt: train with --split 0.2" in out
    assert "no mask has" not in out


def test_labels_without_a_class_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="mine has 1 problem"):
        inspect(write_voc(tmp_path / "mine"), "2")
    out = capsys.readouterr().out
    assert re.search(r" 2  2 \(no class\) +45.05 % +5 +45.05 % +3\n", out)
    assert "the mask x has label 2, but there are 2 classes" in out or "the mask a has label 2" in out
    assert Path("inspect-mine.png").is_file()


def test_an_unknown_name_hides_no_other_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_voc(tmp_path / "mine")
    root = folder / "VOCdevkit/VOC2012"
    (root / "ImageSets/Segmentation/val.txt").write_text("x\nghost\ny\na\nx\n")
    (root / "SegmentationClass/y.png").unlink()
    with pytest.raises(UserError, match="mine has 2 problems"):
        inspect(folder, "3")
    out, err = capsys.readouterr()
    assert "val: 2 images that can be read" in out
    assert "val.txt names x twice: remove one line; " in out
    assert "JPEGImages has no image ghost" in out
    assert "SegmentationClass has no mask y" in out
    assert "warning: train.txt and val.txt share 1 of their images, a among them" in err


def test_binary_masks_are_two_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_voc(tmp_path / "mine")
    for mask in (folder / "VOCdevkit/VOC2012/SegmentationClass").iterdir():
        Image.fromarray(np.uint8(255) * (np.asarray(Image.open(mask)) == 1)).save(mask)
    inspect(folder)
    assert re.search(r" 1  class 1 +45.83 % +5 +45.83 % +3\n", capsys.readouterr().out)


def test_nothing_that_can_be_read_is_a_problem(tmp_path: Path) -> None:
    folder = write_voc(tmp_path / "mine")
    for image in (folder / "VOCdevkit/VOC2012/JPEGImages").iterdir():
        image.write_bytes(b"text")
    with pytest.raises(UserError, match="mine has 9 problems"):
        inspect(folder)
    assert not Path("inspect-mine.png").exists()
    with pytest.raises(UserError, match=r"cannot read .*none: No such file"):
        inspect(folder / "none")


def test_images_without_masks_are_counted_if_there_are_no_lists(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_voc(tmp_path / "mine") / "VOCdevkit/VOC2012"
    (root / "SegmentationClass/a.png").unlink()
    (root / "ImageSets/Segmentation/train.txt").write_text("b\nc\n")
    inspect(root, "3")
    for split in NAMES:
        (root / f"ImageSets/Segmentation/{split}.txt").unlink()
    with pytest.raises(UserError, match="has 1 problem"):
        inspect(root, "3")
    assert "1 image has no mask, a among them" in capsys.readouterr().out
