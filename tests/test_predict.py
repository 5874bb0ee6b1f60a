from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jaxcolor import predict
from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.errors import UserError
from jaxcolor.predict import find_files, name_predictions, predict_files


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()


def test_images_are_read_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the memory does not grow with their number."""
    touch(tmp_path, "a.png", "b.png", "c.png")
    steps: list[str] = []

    class Model:
        def render(self, image: np.ndarray) -> tuple[dict[str, Image.Image], str]:
            return {"": Image.fromarray(image)}, ""

    def read(path: Path) -> Any:
        steps.append(f"read {path.name}")
        if path.name == "b.png":
            raise UserError("b.png is broken")
        return np.zeros((1, 1, 3), np.uint8)

    monkeypatch.setattr(predict, "load", lambda *_: Model())
    monkeypatch.setattr(predict, "read_image", read)
    monkeypatch.setattr(predict, "save_image", lambda path, _: steps.append(f"save {path.name}"))
    with pytest.raises(UserError, match="^1 of 3 images has no prediction: b.png is broken$"):
        predict_files(ColorizeConfig(predict=(tmp_path,)))
    assert steps == ["read a.png", "save a.png", "read b.png", "read c.png", "save c.png"]


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


def test_predictions_have_the_names_of_their_images() -> None:
    paths = [Path("x/a.png"), Path("x/b.jpg"), Path("x/b.png"), Path("y/c.d.png")]
    assert list(name_predictions(paths)) == ["a", "b.jpg", "b.png", "c.d"]
    with pytest.raises(UserError, match="two images are named a.png, and so would their predictions be"):
        name_predictions([Path("x/a.png"), Path("y/a.png")])


def test_long_names_are_cut() -> None:
    cut, short = name_predictions([Path("ä" * 125 + ".png"), Path("b.png")])
    assert (cut, short) == ("ä" * 100, "b")
    with pytest.raises(UserError, match="two images are named aaa"):
        name_predictions([Path("a" * 249 + ".png"), Path("a" * 250 + ".png")])
