import json
import os
from pathlib import Path
from typing import IO, Any

import pytest

from jaxcolor import files
from jaxcolor.errors import UserError
from jaxcolor.files import (
    check_writable,
    files_below,
    new_folder,
    remove_temporary,
    write_atomically,
    write_csv,
    write_json,
)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_atomically(path, lambda file: file.write(b"old"))

    def fail(file: IO[bytes]) -> None:
        file.write(b"ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_a_new_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder"

    def fail() -> None:
        with new_folder(path) as folder:
            (folder / "file").touch()
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert list(path.parent.iterdir()) == []
    with new_folder(path) as folder:
        (folder / "file").touch()
        assert not path.exists()
    assert list(tmp_path.rglob("*")) == [path.parent, path, path / "file"]
    assert path.stat().st_mode & 0o777 == 0o755
    with pytest.raises(UserError, match="folder exists: give the name of a new folder"), new_folder(path):
        pass
    other = tmp_path / "other"
    with pytest.raises(UserError, match="other exists"), new_folder(other):
        other.mkdir()  # by another program
    assert list(tmp_path.iterdir()) in ([path.parent, other], [other, path.parent])


def test_the_error_of_a_full_disk_names_the_file(tmp_path: Path) -> None:
    def fail(file: IO[bytes]) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left") as error:
        write_atomically(tmp_path / "file", fail)
    assert error.value.filename == str(tmp_path / "file")


def test_the_error_of_a_folder_without_permission_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**options: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / ".file.a8f.tmp"))

    monkeypatch.setattr(files.tempfile, "mkstemp", refuse)
    with pytest.raises(PermissionError) as error:
        write_atomically(tmp_path / "file", lambda file: file.write(b""))
    assert error.value.filename == str(tmp_path / "file")


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    check_writable(tmp_path / "new")
    assert not list((tmp_path / "new").iterdir())
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/new")):
        with pytest.raises(OSError, match="Errno"):
            check_writable(folder)


def test_what_a_kill_leaves_is_removed(tmp_path: Path) -> None:
    write_atomically(tmp_path / "kept", lambda file: file.write(b"x"))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / ".grid.png.abc.tmp").touch()
    remove_temporary(tmp_path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["deep", "kept"]


def test_json_has_null_for_what_is_no_number(tmp_path: Path) -> None:
    infinite = float("inf")
    values = {"psnr": infinite, "shares": [0.5, float("nan")], "pair": (1, -infinite), "path": tmp_path}
    write_json(tmp_path / "new" / "scores.json", values)
    text = (tmp_path / "new" / "scores.json").read_text()
    assert json.loads(text) == {"psnr": None, "shares": [0.5, None], "pair": [1, None], "path": str(tmp_path)}


def test_a_table_has_empty_cells_for_what_is_no_number(tmp_path: Path) -> None:
    rows: list[list[Any]] = [["a, b", 0.5, float("nan")], ["ö", None, float("inf")]]
    write_csv(tmp_path / "new" / "scores.csv", ["name", "x", "y"], rows)
    assert (tmp_path / "new" / "scores.csv").read_bytes() == 'name,x,y\n"a, b",0.5,\nö,,\n'.encode()


def test_files_below_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "c").mkdir()
    for name in ("a/2", "a/b/1", "c/3"):
        (tmp_path / name).touch()
    (tmp_path / "a/link").symlink_to("../c")
    (tmp_path / "a/up").symlink_to("..")
    expected = [tmp_path / name for name in ("2", "b/1", "link/3")]
    assert files_below(tmp_path / "a") == [tmp_path / "a" / path.relative_to(tmp_path) for path in expected]

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    assert files_below(tmp_path / "a") == []
    with pytest.raises(UserError, match="cannot read .*a: Permission denied"):
        files_below(tmp_path / "a", needed=("a",))


def test_a_file_may_have_the_longest_name(tmp_path: Path) -> None:
    path = tmp_path / ("ä" * 127)  # 254 bytes
    write_atomically(path, lambda file: file.write(b"data"))
    assert path.read_bytes() == b"data"
