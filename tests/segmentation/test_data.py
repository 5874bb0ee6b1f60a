import dataclasses
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from voc_layout import NAMES, write_voc, write_voc_tar

from jaxcolor.data.classes import VOC_CLASSES
from jaxcolor.errors import UserError
from jaxcolor.segmentation.config import SegmentConfig
from jaxcolor.segmentation.data import Dataset, load_dataset
from jaxcolor.training.run_folder import RunFolder

LISTS = "VOCdevkit/VOC2012/ImageSets/Segmentation"


@pytest.fixture
def config(tmp_path: Path) -> SegmentConfig:
    return SegmentConfig(voc_dir=write_voc(tmp_path / "voc"), classes="3", data_dir=tmp_path / "data")


def part(config: SegmentConfig, name: str) -> Path:
    assert config.voc_dir
    return config.voc_dir / "VOCdevkit/VOC2012" / name


def mask_of(config: SegmentConfig, name: str) -> Path:
    return part(config, f"SegmentationClass/{name}.png")


def change_masks(config: SegmentConfig, change: np.ndarray) -> None:
    """Replace each label by the value of `change` at it."""
    for name in NAMES["train"] + NAMES["val"]:
        labels = np.asarray(Image.open(mask_of(config, name)))
        Image.fromarray(change[labels]).save(mask_of(config, name))


def run_with(data: Dataset, folder: Path) -> RunFolder:
    """Return a run that was started with these data."""
    folder.mkdir()
    data.write_split(folder)
    (folder / "config.json").write_text(json.dumps({"dataset": data.facts}))
    return RunFolder(folder)


def test_labels_are_counted(config: SegmentConfig, capsys: pytest.CaptureFixture[str]) -> None:
    data = load_dataset(config)
    # Of each of five masks of 48×64 pixels: 4 rows of class 0, 32, 1 and 31 columns below.
    assert data.train_labels[[0, 1, 255, 2]].tolist() == [5 * 4 * 64, 5 * 44 * 32, 5 * 44, 5 * 44 * 31]
    assert data.train_labels.sum() == 5 * 48 * 64
    assert data.void_share == pytest.approx(44 / (48 * 64))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("split", ["train", "val"])
def test_wrong_masks_are_found_before_the_run(config: SegmentConfig, split: str) -> None:
    name = NAMES[split][2]
    Image.new("L", (64, 48), 3).save(mask_of(config, name))
    with pytest.raises(UserError, match=f"the mask {name} has label 3, but there are 3 classes, 0 to 2"):
        load_dataset(config)
    mask_of(config, name).write_bytes(mask_of(config, name).read_bytes()[:-30])
    with pytest.raises(UserError, match=rf"{name}.png is broken: [^(]*$"):
        load_dataset(config)
    for name in NAMES[split]:
        Image.new("L", (64, 48), 255).save(mask_of(config, name))
    with pytest.raises(UserError, match=r"all pixels of the (train|validation) masks are void, 255"):
        load_dataset(config)


def test_the_number_of_broken_files_is_said(config: SegmentConfig) -> None:
    for name in ("a", "c", "y"):
        mask_of(config, name).write_bytes(mask_of(config, name).read_bytes()[:-30])
    with pytest.raises(UserError, match=r"a.png is broken: .* \(and 2 other files: --inspect lists them\)"):
        load_dataset(config)


BINARY = np.zeros(256, np.uint8)
BINARY[[1, 2]] = 255


@pytest.mark.parametrize("classes", ["2", None])
def test_masks_of_0_and_255_are_two_classes(
    config: SegmentConfig, classes: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change_masks(config, BINARY)
    config = dataclasses.replace(config, classes=classes)
    data = load_dataset(config)
    assert capsys.readouterr().out == (
        "the masks have the values 0 and 255 only: 0 is 'class 0', and 255 is 'class 1'\n"
    )
    assert data.classes == ("class 0", "class 1")
    assert np.unique(data.train[0].label_map).tolist() == [0, 1]
    assert data.train_labels[[0, 1, 255]].tolist() == [5 * (4 * 64 + 44), 5 * 44 * 63, 0]
    # A run remembers it.
    again = load_dataset(config, run_with(data, tmp_path / "run"))
    assert np.unique(again.validation[0].label_map).tolist() == [0, 1]
    assert again.facts == data.facts
    assert again.train_labels[1] == 5 * 44 * 63


def test_masks_of_0_and_255_for_more_classes_are_refused(config: SegmentConfig) -> None:
    change_masks(config, BINARY)
    with pytest.raises(UserError, match=r"the values 0 and 255 only, and 255 is void: use --classes 2"):
        load_dataset(config)


def test_binary_masks_of_several_kinds_are_refused(config: SegmentConfig) -> None:
    config = dataclasses.replace(config, classes="2")
    change_masks(config, BINARY)
    smoothed = np.asarray(Image.open(mask_of(config, "b"))).copy()
    smoothed[:, 31] = 191
    Image.fromarray(smoothed).save(mask_of(config, "b"))
    for classes in ("2", None):
        with pytest.raises(UserError, match=r"255 only, but b has 191, as smoothed masks have: save binary"):
            load_dataset(dataclasses.replace(config, classes=classes))
    change_masks(config, np.where(np.arange(256) > 0, 255, 0).astype(np.uint8))
    for name in NAMES["val"]:
        Image.fromarray(np.asarray(Image.open(mask_of(config, name))) // 255).save(mask_of(config, name))
    with pytest.raises(UserError, match=r"some masks have the values 0 and 255, and others 0 and 1: use the"):
        load_dataset(config)


def test_palettes_of_both_splits_are_compared(
    config: SegmentConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in NAMES["val"]:
        image = Image.open(mask_of(config, name))
        image.putpalette(np.arange(256)[::-1].repeat(3).astype(np.uint8).tobytes())
        image.save(mask_of(config, name))
    load_dataset(config)
    assert "label 0 is 0 0 0 in the mask a, but 255 255 255 in x" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["folder", "archive"])
def test_an_image_in_both_lists_is_a_warning(
    config: SegmentConfig, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    part(config, "ImageSets/Segmentation/val.txt").write_text("x\nb\n")
    part(config, "ImageSets/Segmentation/val.txt~").write_text("x\n")
    part(config, "ImageSets/Segmentation/train.xml").write_text("x\n")
    if source == "archive":
        assert config.voc_dir
        archive = config.voc_dir.with_suffix(".tar")
        with tarfile.open(archive, "w") as tar:
            tar.add(config.voc_dir / "VOCdevkit", "VOCdevkit")
        config = dataclasses.replace(config, voc_dir=None, archive=archive)
    data = load_dataset(config)
    assert (len(data.train), len(data.validation)) == (5, 2)
    assert "train.txt and val.txt share 1 of their images, b among them" in capsys.readouterr().err
    load_dataset(dataclasses.replace(config, train_split="trainval"))
    assert "trainval.txt and val.txt share 2 of their images, b among them" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        (
            {"val": "x\n"},
            "have the list val.txt already: leave out --split, and list the others in train.txt",
        ),
        ({"val": "x\n", "trainval": "a\nb\n"}, "leave out --split, and add --train-split trainval"),
        ({"trainval": "a\n"}, "--split needs at least 2 images, but there is 1"),
    ],
)
def test_a_split_beside_lists_is_refused(config: SegmentConfig, lists: dict[str, str], message: str) -> None:
    part(config, "ImageSets/Segmentation/train.txt").unlink()
    part(config, "ImageSets/Segmentation/val.txt").unlink()
    for split, text in lists.items():
        part(config, f"ImageSets/Segmentation/{split}.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        load_dataset(dataclasses.replace(config, split=0.2))


def test_vocs_names_are_for_vocs_images(config: SegmentConfig, capsys: pytest.CaptureFixture[str]) -> None:
    config = dataclasses.replace(config, classes=None)
    data = load_dataset(config)
    assert data.classes == ("class 0", "class 1", "class 2")
    assert not data.is_voc
    assert "labels up to 2: class 0 to class 2 (--classes names them)" in capsys.readouterr().out
    assert load_dataset(dataclasses.replace(config, classes="voc")).classes == VOC_CLASSES
    for split, names in NAMES.items():
        renamed = [f"2007_{i:06}" for i in range(len(names))] if split == "train" else [
            f"2011_{i:06}" for i in range(len(names))
        ]  # fmt: skip
        for old, new in zip(names, renamed, strict=True):
            for file in (f"JPEGImages/{old}.jpg", f"SegmentationClass/{old}.png"):
                part(config, file).rename(part(config, file.replace(old + ".", new + ".")))
        part(config, f"ImageSets/Segmentation/{split}.txt").write_text("\n".join(renamed))
    data = load_dataset(config)
    assert data.classes == VOC_CLASSES
    assert data.is_voc


def test_colors_of_the_class_file_decide(config: SegmentConfig, tmp_path: Path) -> None:
    colors = np.zeros((256, 3), np.uint8)
    colors[[0, 1, 2, 255]] = [(0, 0, 0), (200, 0, 0), (0, 0, 200), (255, 255, 255)]
    change_masks(config, colors)
    with pytest.raises(UserError, match=r"a.png has colors such as .*\(and 7 other files"):
        load_dataset(config)
    table = tmp_path / "table.txt"
    table.write_text("red 200 0 0\nblack 0 0 0\nblue 0 0 200\nvoid 255 255 255\n")
    config = dataclasses.replace(config, classes=str(table))
    data = load_dataset(config)
    assert data.classes == ("red", "black", "blue")
    assert data.train[0].label_map[10, [0, 31, 32, 33]].tolist() == [0, 0, 255, 2]
    assert data.train_labels[[1, 0, 255, 2]].tolist() == [5 * 4 * 64, 5 * 44 * 32, 5 * 44, 5 * 44 * 31]
    # A run knows names and colors without the file.
    run = run_with(data, tmp_path / "run")
    table.unlink()
    again = load_dataset(config, run)
    assert again.classes == data.classes
    assert again.facts == data.facts
    np.testing.assert_array_equal(again.train[0].label_map, data.train[0].label_map)


def test_what_is_unusual_is_a_warning(config: SegmentConfig, capsys: pytest.CaptureFixture[str]) -> None:
    image = Image.open(mask_of(config, "x"))
    image.putpalette(np.arange(256)[::-1].repeat(3).astype(np.uint8).tobytes())
    image.save(mask_of(config, "x"))
    load_dataset(dataclasses.replace(config, classes="4"))
    assert capsys.readouterr().err.splitlines() == [
        "warning: no training mask has class 3",
        "warning: no validation mask has class 3",
        "warning: the palettes of the masks differ: label 0 is 255 255 255 in the mask x, but 0 0 0 in y; "
        "the numbers are the labels (with colors in the file of --classes, the colors are)",
    ]


@pytest.mark.parametrize("source", ["folder", "archive"])
def test_a_split_is_made_once_and_kept_with_the_run(
    config: SegmentConfig, tmp_path: Path, source: str
) -> None:
    if source == "archive":
        config = dataclasses.replace(config, voc_dir=None, archive=write_voc_tar(tmp_path / "tar"))
        archive = config.archive
    with pytest.raises(UserError, match=r"have the lists train.txt and val.txt already: leave out --split"):
        load_dataset(dataclasses.replace(config, split=0.25))
    if source == "archive":
        folder = write_voc(tmp_path / "bare")
        for split in NAMES:
            (folder / LISTS / f"{split}.txt").unlink()
        import tarfile

        archive = tmp_path / "bare.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(folder / "VOCdevkit", "VOCdevkit")
        config = dataclasses.replace(config, archive=archive)
    else:
        for split in NAMES:
            part(config, f"ImageSets/Segmentation/{split}.txt").unlink()
    with pytest.raises(UserError, match="--split 0.2"):
        load_dataset(config)
    config = dataclasses.replace(config, split=0.25, seed=3)
    data = load_dataset(config)
    assert (len(data.train), len(data.validation)) == (6, 2)
    run = run_with(data, tmp_path / "run")
    lists = [(run.path / "split" / f"{split}.txt").read_text().split() for split in ("train", "val")]
    assert sorted(lists[0] + lists[1]) == sorted(NAMES["train"] + NAMES["val"])
    again = load_dataset(dataclasses.replace(config, seed=4), run)
    assert again.facts["fingerprints"] == data.facts["fingerprints"]
    assert [again.validation[i].name for i in range(2)] == lists[1]


def test_moved_data_are_the_same_data(config: SegmentConfig, tmp_path: Path) -> None:
    data = load_dataset(config)
    run = run_with(data, tmp_path / "run")
    assert config.voc_dir
    moved = config.voc_dir.rename(tmp_path / "elsewhere")
    again = load_dataset(dataclasses.replace(config, voc_dir=moved, classes="none.txt"), run)
    assert again.facts == data.facts | {"name": "elsewhere"}


def test_the_sample_is_announced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = load_dataset(SegmentConfig(data_dir=tmp_path))
    assert "PASCAL VOC IS NOT HERE" in capsys.readouterr().err
    assert data.facts["name"] == "sample"
    assert data.facts["requested"] == "auto"
    assert (data.facts["train"], data.facts["validation"]) == (200, 60)


def test_what_was_prepared_before_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tar = write_voc_tar(tmp_path / "tar")
    first = load_dataset(SegmentConfig(archive=tar, data_dir=tmp_path))
    tar.unlink()
    second = load_dataset(SegmentConfig(data_dir=tmp_path))
    assert second.facts["fingerprints"] == first.facts["fingerprints"]
    md5 = first.facts["archive_md5"]
    assert f"VOC cannot be downloaded now: using the archive with md5 {md5}" in capsys.readouterr().out
