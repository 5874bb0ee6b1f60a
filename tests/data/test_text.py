from pathlib import Path

import pytest

from jaxcolor.data.text import read_lines
from jaxcolor.errors import UserError

TEXT = "# names\n\nsky\r\n  road \r\ngrüner Baum\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lines_without_comments_and_blank_lines(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "names.txt").write_bytes(TEXT.encode(encoding))
    assert read_lines(tmp_path / "names.txt", "names.txt") == ["sky", "road", "grüner Baum"]
    assert read_lines(TEXT.encode(encoding), "names.txt") == ["sky", "road", "grüner Baum"]


@pytest.mark.parametrize("data", ["grün".encode("latin-1"), "sky".encode("utf-16-le"), b"\x89PNG\0\0"])
def test_other_files_are_one_line(data: bytes) -> None:
    with pytest.raises(UserError, match=r"^names.txt is not a text file in UTF-8: save it as UTF-8$"):
        read_lines(data, "names.txt")


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read the classes: No such file or directory"):
        read_lines(tmp_path / "names.txt", "the classes")
