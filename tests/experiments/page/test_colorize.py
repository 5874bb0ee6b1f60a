import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gradio")

from page.colorize import IN_COLOR, choose_shown, gray_image, write_colored, write_zip
from PIL import Image

from jaxcolor.colored_files import ColorFile
from jaxcolor.painting import gray_of


def test_the_first_new_file_is_shown() -> None:
    which, button, count = choose_shown(["1/a.png", "2/a.png", "b.png"], before=1)
    assert which["choices"] == [("a.png", 0), ("a (2).png", 1), ("b.png", 2)]
    assert (which["value"], which["visible"], button["visible"], count) == (1, True, True, 3)
    assert button["value"] == "Color all 3 photographs"
    which, button, count = choose_shown(["a.png"], before=3)
    assert (which["value"], which["visible"], button["visible"], count) == (0, False, False, 1)
    assert choose_shown(None, before=1)[0]["value"] is None


@pytest.mark.parametrize(
    ("suffix", "color", "remark"),
    [
        ("png", (9, 9, 9), ""),
        ("png", (200, 9, 9), IN_COLOR),
        ("gif", (9, 9, 9), "It becomes a PNG, because GIF does not suit photographs."),
    ],
)
def test_remarks_say_what_a_colored_file_does_not_keep(
    tmp_path: Path, suffix: str, color: tuple[int, int, int], remark: str
) -> None:
    source = tmp_path / f"a.{suffix}"
    Image.new("RGB", (4, 4), color).save(source)
    path, found = write_colored(ColorFile(lambda rgb: rgb), source, tmp_path / "out" / source.name)
    assert found == remark
    assert path.name == ("a.gif.png" if suffix == "gif" else "a.png")


def test_what_is_shown_in_gray_has_the_lightness_of_the_colors(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 9, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    shown = gray_image(tmp_path / "a.png")
    assert shown.mode == "L"
    np.testing.assert_array_equal(np.asarray(shown), gray_of(pixels))


def test_an_archive_holds_the_files_as_they_are(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.png", "b c.jpg")]
    for path in files:
        path.write_bytes(path.name.encode())
    with zipfile.ZipFile(write_zip(tmp_path / "all.zip", files)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "a.png": b"a.png", "b c.jpg": b"b c.jpg"
        }  # fmt: skip
