import os
import zlib
from pathlib import Path
from typing import Any

import pytest

from jaxcolor.errors import UserError
from jaxcolor.predict import find_files, name_predictions, predict_files


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()


def test_a_broken_file_does_not_stop_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    touch(tmp_path, "a.png", "b.png", "c.png")
    steps: list[str] = []

    def predict_file(source: Path, target: Path) -> tuple[list[Path], str]:
        steps.append(source.name)
        if source.name == "b.png":
            raise UserError("b.png is broken")
        path = target.with_suffix(".jpg")
        return [path], "fine: "

    with pytest.raises(UserError, match="^1 of 3 images has no prediction: b.png is broken$"):
        predict_files([tmp_path], tmp_path / "out", predict_file)
    assert steps == ["a.png", "b.png", "c.png"]
    lines = [f"{tmp_path / name}.png: fine: {tmp_path / 'out' / name}.jpg" for name in "ac"]
    assert capsys.readouterr().out.splitlines() == lines


def test_files_folders_and_patterns_are_found(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "a.png", "c.heic", "notes.txt", "._a.png", "d[1].png")
    touch(tmp_path / "sub", "e.png")
    found = find_files([tmp_path])
    assert [path.name for path in found] == ["a.png", "b.JPG", "c.heic", "d[1].png"]
    assert [path.name for path in find_files([tmp_path / "*.png"])] == ["a.png", "d[1].png"]
    # A name with brackets is a file first. No file counts twice, and any other path is left for the reader.
    given = [tmp_path / "d[1].png", tmp_path, tmp_path / "none.png"]
    assert [path.name for path in find_files(given)] == ["d[1].png", "a.png", "b.JPG", "c.heic", "none.png"]


def test_a_file_that_is_given_by_two_paths_counts_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png")
    touch(tmp_path / "sub")
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "other.png").symlink_to(tmp_path / "a.png")
    given = ["a.png", "sub/../a.png", "b.png", "link/a.png", "other.png"]
    found = find_files([tmp_path / name for name in given])
    assert found == [tmp_path / name for name in ("a.png", "b.png", "other.png")]


def test_nothing_found_is_one_line(tmp_path: Path) -> None:
    touch(tmp_path / "empty", "notes.txt")
    with pytest.raises(UserError, match=r"the folder .*empty holds no image files"):
        find_files([tmp_path / "empty"])
    with pytest.raises(UserError, match=r"no file fits .*\*.bmp"):
        find_files([tmp_path / "*.bmp"])


def test_brackets_in_the_name_of_a_folder_are_no_pattern(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path / "trip [1]", "a.jpg", "b.jpg", "c.png")
    expected = [Path("trip [1]/a.jpg"), Path("trip [1]/b.jpg")]
    assert find_files([tmp_path / "trip [1]" / "[ab].jpg"]) == [tmp_path / path for path in expected]
    monkeypatch.chdir(tmp_path)
    assert find_files([Path("trip [1]/*.jpg")]) == expected


def test_a_file_without_permission_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.png")
    hidden = tmp_path / "hidden" / "b.png"
    stat = os.stat

    def without_permission(path: Any, *args: Any, **options: Any) -> os.stat_result:
        if os.fspath(path) == os.fspath(hidden):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *args, **options)

    def predict_file(source: Path, target: Path) -> tuple[list[Path], str]:
        if source == hidden:
            raise UserError(f"cannot read {source}")
        return [target], ""

    monkeypatch.setattr(os, "stat", without_permission)
    with pytest.raises(UserError, match=r"1 of 2 images has no prediction: cannot read .*b\.png"):
        predict_files([tmp_path / "a.png", hidden], tmp_path / "out", predict_file)


def test_predictions_have_the_names_of_their_images() -> None:
    paths = [Path("x/a.png"), Path("x/b.jpg"), Path("x/b.png"), Path("y/c.d.png")]
    assert list(name_predictions(paths)) == ["a", "b.jpg", "b.png", "c.d"]
    with pytest.raises(UserError, match="two images are named a.png, and so would their predictions be"):
        name_predictions([Path("x/a.png"), Path("y/a.png")])


def test_long_names_are_cut() -> None:
    cut, short = name_predictions([Path("ä" * 125 + ".png"), Path("b.png")])
    assert (cut, short) == ("ä" * 100 + f"-{zlib.crc32(('ä' * 125).encode()):08x}", "b")
    first, second = name_predictions([Path("a" * 249 + ".png"), Path("a" * 250 + ".png")])
    assert first[:200] == second[:200] == "a" * 200
    assert first != second


def test_colored_images_keep_their_suffixes() -> None:
    paths = [Path("x/a.png"), Path("x/a.jpg"), Path(f"x/{'b' * 240}.jpeg")]
    long = f"{'b' * 200}-{zlib.crc32(b'b' * 240):08x}.jpeg"
    assert list(name_predictions(paths, keep_suffix=True)) == ["a.png", "a.jpg", long]
    with pytest.raises(UserError, match="two images are named a.png"):
        name_predictions([Path("x/a.png"), Path("y/a.png")], keep_suffix=True)


def no_prediction(source: Path, target: Path) -> tuple[list[Path], str]:
    raise AssertionError("nothing is predicted")


@pytest.mark.parametrize("out", ["", "sub/.."])
def test_a_prediction_never_overwrites_an_image(tmp_path: Path, out: str) -> None:
    touch(tmp_path, "a.png", "b.png")
    touch(tmp_path / "sub")
    with pytest.raises(UserError, match=r"would overwrite .*a\.png: give another folder with --out"):
        predict_files([tmp_path / "a.png"], tmp_path / out, no_prediction, keep_suffix=True)
    # The prediction for a/c.png would overwrite another one of the images.
    touch(tmp_path / "a", "c.png")
    (tmp_path / "c.png").hardlink_to(tmp_path / "b.png")
    with pytest.raises(UserError, match=r"would overwrite .*c\.png"):
        predict_files([tmp_path / "a/c.png", tmp_path / "b.png"], tmp_path, no_prediction, keep_suffix=True)


def test_one_image_may_be_written_to_a_file(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png")

    def predict_file(source: Path, target: Path) -> tuple[list[Path], str]:
        return [target], ""

    out = tmp_path / "new" / "colored.jpg"
    assert predict_files([tmp_path / "a.png"], out, predict_file, keep_suffix=True) == [out]
    with pytest.raises(
        UserError, match=r"--out .*colored\.jpg names one file, but there are 2 images: give a folder"
    ):
        predict_files([tmp_path], out, predict_file, keep_suffix=True)
    with pytest.raises(UserError, match=r"would overwrite .*a\.png"):
        predict_files([tmp_path / "a.png"], tmp_path / "a.png", predict_file, keep_suffix=True)


def test_other_things_than_files_in_a_folder_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    (tmp_path / "folder.jpg").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.jpg")
    assert find_files([tmp_path]) == [tmp_path / "a.png"]


def test_a_folder_that_cannot_be_written_is_named_at_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png", "notes")
    with pytest.raises(UserError, match=r"cannot write into .*notes: .*; choose another --out"):
        predict_files([tmp_path], tmp_path / "notes", no_prediction, keep_suffix=True)
