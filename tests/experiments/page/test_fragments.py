from pathlib import Path

import numpy as np
import pytest
from page import fragments
from page.fragments import Area, Shown
from PIL import Image

EVIL = '<img src=x onerror="alert(1)">'


def test_names_cannot_add_tags(tmp_path: Path) -> None:
    path = tmp_path / EVIL.replace("/", "")
    path.write_bytes(b"x")
    shown = Shown(path, 1, 1)
    for html in (
        fragments.message(EVIL), fragments.note(EVIL), fragments.invitation(EVIL),
        fragments.comparison(shown, shown, EVIL), fragments.figure(shown, EVIL),
        fragments.downloads([(EVIL, path)]), fragments.thumbnails([(EVIL, shown)]),
        fragments.gallery([(EVIL, path)]), fragments.legend([Area(EVIL, (1, 2, 3), 1.0)]),
    ):  # fmt: skip
        assert "onerror" in html
        assert "<img src=x" not in html
        assert 'onerror="' not in html


def test_large_images_are_shown_small_and_small_ones_as_they_are(tmp_path: Path) -> None:
    large = fragments.for_browser(Image.new("RGB", (4000, 1000)), tmp_path / "large.jpg")
    assert (large.width, large.height) == (1600, 400)
    pixels = np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)
    small = fragments.for_browser(Image.fromarray(pixels), tmp_path / "small.jpg")
    assert (small.width, small.height) == (20, 30)
    with Image.open(small.path) as image:
        assert image.format == "JPEG"
        assert np.abs(np.asarray(image).astype(int) - pixels).mean() < 10


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100.0 %"), (0.12345, "12.3 %"), (0.001, "0.1 %"), (0.0009, "< 0.1 %")]
)
def test_shares_in_percent(share: float, text: str) -> None:
    assert fragments.percent(share) == text


@pytest.mark.parametrize(
    ("count", "text"), [(10, "1 kB"), (2499, "2 kB"), (999_999, "1000 kB"), (1_250_000, "1.2 MB")]
)
def test_sizes_of_files(count: int, text: str) -> None:
    assert fragments.file_size(count) == text


def test_addresses_quote_special_characters() -> None:
    assert fragments.address(Path("/tmp/a b#c?.png")) == "gradio_api/file=/tmp/a%20b%23c%3F.png"
