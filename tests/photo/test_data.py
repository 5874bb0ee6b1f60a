import zipfile
from pathlib import Path

import numpy as np
import pytest
from photo_files import image_bytes, write_files, write_zip
from PIL import Image

from jaxcolor.data.cifar10 import load_cifar10
from jaxcolor.errors import UserError
from jaxcolor.photo.data import (
    PhotoFile,
    Photographs,
    find_photographs,
    list_files,
    load_cifar_photographs,
    split,
    validation_files,
)
from jaxcolor.training.batches import make_batches


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_color_images_are_found_and_the_others_are_named(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = write_files(tmp_path / "images")
    if kind == "zip":
        place = write_zip(place, tmp_path / "images.zip")
    data = find_photographs(place, [32])
    assert (len(data.train), len(data.validation)) == (12, 4)
    assert data.skipped.keys() == {"train/gray.png", "train/broken.jpg"}
    assert all(file.name.startswith("val/") for file in data.validation.files)
    out, err = capsys.readouterr()
    assert out == "1 of 18 images are gray: they are left out\n"
    assert err.startswith("warning: train/broken.jpg is broken")
    assert err.count("\n") == 1
    # A run that resumes reads the files of the first time, and checks none of them again.
    again = find_photographs(place, [32], data.skipped)
    assert again.facts == data.facts
    assert capsys.readouterr() == ("", "")


def test_crops_are_squares_and_the_random_ones_follow_from_their_seed(tmp_path: Path) -> None:
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, 20:60] = [200, 10, 10]
    photographs = Photographs([PhotoFile("a.png", lambda: image_bytes(image), 0)], sides=[32])
    middle = photographs.middle(0)
    assert middle.shape == (32, 32, 3)
    assert np.abs(middle[:, 1:-1].reshape(-1, 3) - [200, 10, 10]).max() <= 1
    crops = [photographs.crop(0, 32, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(crops[0], crops[1])
    assert np.any(crops[0] != crops[2])
    assert {crop.shape for crop in crops} == {(32, 32, 3)}


def test_batches_are_padded_and_repeat_from_seed_and_epoch(tmp_path: Path) -> None:
    data = find_photographs(write_files(tmp_path), [32])
    batches = make_batches(np.arange(12), 8)
    first, second, other = (list(data.train.batches(batches, epoch)) for epoch in ((0, 1), (0, 1), (0, 2)))
    assert [batch["images"].shape for batch in first] == [(8, 32, 32, 3)] * 2
    assert first[1]["valid"].tolist() == [1] * 4 + [0] * 4
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one["images"], two["images"])
    assert np.any(first[0]["images"] != other[0]["images"])
    (whole,) = data.validation.batches(make_batches(np.arange(4), 4))
    np.testing.assert_array_equal(whole["images"][2], data.validation.middle(2))
    assert whole["valid"].tolist() == [1] * 4


def test_each_process_reads_its_rows_and_a_resumed_epoch_its_last_batches(tmp_path: Path) -> None:
    data = find_photographs(write_files(tmp_path), [32, 40])
    batches, epoch = make_batches(np.arange(12), 4), (0, 1)
    whole = list(data.train.batches(batches, epoch))
    for rows in (slice(0, 2), slice(2, 4)):
        share = list(data.train.batches(batches, epoch, rows))
        for all_rows, own in zip(whole, share, strict=True):
            np.testing.assert_array_equal(own["images"], all_rows["images"][rows])
            np.testing.assert_array_equal(own["valid"], all_rows["valid"][rows])
    rest = list(data.train.batches(batches, epoch, start=2))
    assert len(rest) == 1
    np.testing.assert_array_equal(rest[0]["images"], whole[2]["images"])


def test_without_a_folder_of_that_name_a_share_is_for_validation() -> None:
    files = [PhotoFile(f"{index}.png", bytes, 0) for index in range(100)]
    train, validation = split(files)
    assert (len(train), len(validation)) == (95, 5)
    assert {*train, *validation} == set(files)
    assert split(files[::-1])[1] == validation[::-1]
    assert [len(part) for part in split(files[:2])] == [1, 1]


def test_what_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no .*missing: give a folder or a zip archive"):
        list_files(tmp_path / "missing")
    with pytest.raises(UserError, match="holds no image files"):
        find_photographs(tmp_path, [32])
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UserError, match="is neither a folder nor a zip archive"):
        list_files(tmp_path / "notes.txt")
    (tmp_path / "one.png").write_bytes(image_bytes(np.full((8, 8, 3), [255, 0, 0], np.uint8)))
    with pytest.raises(UserError, match="holds a single image in color: add others for validation"):
        find_photographs(tmp_path, [32])
    (tmp_path / "val").mkdir()
    (tmp_path / "one.png").rename(tmp_path / "val" / "one.png")
    with pytest.raises(UserError, match="are for validation: add others for training"):
        find_photographs(tmp_path, [32])
    (tmp_path / "val" / "one.png").write_bytes(image_bytes(np.full((8, 8, 3), 90, np.uint8)))
    with pytest.raises(UserError, match="holds no images in color"):
        find_photographs(tmp_path, [32])


def test_a_damaged_archive_names_its_files(tmp_path: Path) -> None:
    path = write_zip(write_files(tmp_path / "images"), tmp_path / "images.zip")
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("train/0/0.png")
    data = bytearray(path.read_bytes())
    start = info.header_offset + 60
    data[start : start + 20] = bytes(20)
    path.write_bytes(data)
    assert "train/0/0.png" in find_photographs(path, [32]).skipped


def test_cifar10_is_read_from_memory_without_its_gray_images(
    archive: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jaxcolor.photo.data.is_gray", lambda image: bool(image[0, 0, 0] % 2))
    data = load_cifar_photographs("all", archive, data_dir, [64])
    train, test, md5 = load_cifar10("all", archive, data_dir)
    kept = [image for image in train if image[0, 0, 0] % 2 == 0]
    assert 0 < len(kept) < len(train)
    assert len(data.train) == len(kept)
    assert len(data.skipped) == sum(int(image[0, 0, 0] % 2) for image in (*train, *test))
    assert data.facts["archive_md5"] == md5
    enlarged = np.asarray(Image.fromarray(kept[1]).resize((64, 64), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(data.train.middle(1), enlarged)
    assert data.train.crop(0, 64, np.random.default_rng(0)).shape == (64, 64, 3)


def test_validation_files_are_those_below_val_or_all(tmp_path: Path) -> None:
    place = write_files(tmp_path / "images")
    assert [file.name for file in validation_files(place)] == [f"val/{index}.jpg" for index in range(4)]
    assert len(validation_files(place / "train")) == 12
    (tmp_path / "gray").mkdir()
    (place / "train/gray.png").rename(tmp_path / "gray" / "gray.png")
    with pytest.raises(UserError, match="holds no images in color"):
        validation_files(tmp_path / "gray")


def test_each_batch_has_one_of_the_sides(tmp_path: Path) -> None:
    data = find_photographs(write_files(tmp_path), [32, 64])
    batches = make_batches(np.arange(12), 2)
    sides = [
        [len(batch["images"][0]) for batch in data.train.batches(batches, (0, epoch))] for epoch in (1, 1, 2)
    ]
    assert set(sides[0]) == {32, 64}
    assert sides[0] == sides[1] != sides[2]
    assert {batch["images"].shape for batch in data.validation.batches(make_batches(np.arange(4), 2))} == {
        (2, 32, 32, 3)
    }


def test_other_images_of_the_same_names_are_other_data(tmp_path: Path) -> None:
    place = write_files(tmp_path / "images")
    archive = write_zip(place, tmp_path / "images.zip")
    before = find_photographs(place, [32]).facts, find_photographs(archive, [32]).facts
    (place / "train/0/0.png").write_bytes((place / "train/0/2.png").read_bytes())
    archive = write_zip(place, tmp_path / "images.zip")
    after = find_photographs(place, [32]).facts, find_photographs(archive, [32]).facts
    for one, other in zip(before, after, strict=True):
        assert one["files_sha256"] != other["files_sha256"]
        assert one["train"] == other["train"]


def test_archives_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    path = write_zip(write_files(tmp_path / "images"), tmp_path / "images.zip")
    data = path.read_bytes()
    directory = data.index(b"PK\x01\x02")
    (tmp_path / "bad.zip").write_bytes(data[:directory] + b"XXXX" + data[directory + 4 :])
    with pytest.raises(UserError, match=r"bad.zip is damaged"):
        list_files(tmp_path / "bad.zip")
    encrypted = bytearray(data)
    encrypted[directory + 8] |= 1
    (tmp_path / "secret.zip").write_bytes(encrypted)
    with pytest.raises(UserError, match=r"secret.zip is encrypted: unpack it first"):
        list_files(tmp_path / "secret.zip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty holds no image files"):
        validation_files(tmp_path / "empty")


@pytest.mark.parametrize(("images", "validation"), [(2, 1), (3, 1), (9, 1), (10, 1), (40, 2), (30_000, 1000)])
def test_the_share_for_validation(images: int, validation: int) -> None:
    files = [PhotoFile(f"{index}.png", bytes, 0) for index in range(images)]
    train, chosen = split(files)
    assert (len(train), len(chosen)) == (images - validation, validation)
