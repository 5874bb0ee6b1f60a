import os
from pathlib import Path

import numpy as np
import pytest
from page.uploads import KEPT, ResultFolders, check_image, named_errors, unique_names
from PIL import Image

from jaxcolor.errors import UserError


def test_each_result_has_a_folder_and_only_old_ones_of_the_same_tab_go(tmp_path: Path) -> None:
    results = ResultFolders(tmp_path)
    other_tab, other_visitor = results.new("a", "segment"), results.new("b", "colorize")
    folders = []
    for index in range(KEPT + 2):
        folders.append(results.new("a", "colorize"))
        os.utime(folders[-1], (index, index))
    assert len({other_tab, other_visitor, *folders}) == KEPT + 4
    assert [folder.exists() for folder in folders] == [False] * 2 + [True] * KEPT
    assert other_tab.exists()
    assert other_visitor.exists()
    results.close("a")
    assert not other_tab.exists()
    assert other_visitor.exists()


@pytest.mark.parametrize("session", ["", "..", "../../up", "/absolute", "x" * 9999, "nul\0"])
def test_results_stay_in_their_folder_whatever_the_browser_sends(tmp_path: Path, session: str) -> None:
    (tmp_path / "kept").mkdir()
    results = ResultFolders(tmp_path / "results")
    assert results.new(session, "colorize").resolve().is_relative_to(tmp_path / "results")
    results.close(session)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "results"]


def test_files_that_are_no_images_gone_or_too_large_are_named(tmp_path: Path) -> None:
    good, text, gone = (tmp_path / name for name in ("good.png", "notes.jpg", "gone.png"))
    Image.fromarray(np.zeros((200, 300), np.uint8)).save(good)
    text.write_text("no image")
    check_image(good, 60_000)
    with pytest.raises(UserError, match=r"^good.png is too large: it has 0.06 megapixels, .* 0.059999"):
        check_image(good, 59_999)
    with pytest.raises(UserError, match=r"^notes.jpg is broken, or not an image$"):
        check_image(text, 60_000)
    with pytest.raises(UserError, match=r"^gone.png is no longer on the server"):
        check_image(gone, 60_000)


def test_errors_name_the_file_and_not_the_server_s_folders(tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    with pytest.raises(UserError, match=r"^a.png is broken$"), named_errors(source):
        raise UserError(f"{source} is broken")
    with pytest.raises(UserError, match=r"^too little memory: a.png is too large"), named_errors(source):
        raise MemoryError


def test_files_of_one_name_get_numbers() -> None:
    names = unique_names([Path("1/a.jpg"), Path("2/a.jpg"), Path("a (2).jpg"), Path("3/a.jpg"), Path("b")])
    assert names == ["a.jpg", "a (2).jpg", "a (2) (2).jpg", "a (3).jpg", "b"]
