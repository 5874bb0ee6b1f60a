from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jaxcolor import cli, comparison
from jaxcolor.comparison import CompareConfig, compare
from jaxcolor.errors import UserError
from jaxcolor.images import ColorImage, LabelMap


class Red:
    """A network that colors everything red."""

    def predict(self, image: np.ndarray) -> ColorImage:
        return np.broadcast_to(np.array([255, 0, 0], np.uint8), image.shape).view(ColorImage)


class Sky:
    """A network that finds one class."""

    def predict(self, image: np.ndarray) -> LabelMap:
        return LabelMap.of(np.zeros(image.shape[:2], np.uint8), ("sky", "tree"))


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, Any] = {"red": Red(), "sky": Sky()}
    monkeypatch.setattr(comparison, "load", found.__getitem__)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "blue.png"
    Image.new("RGB", (30, 20), (0, 0, 255)).save(path)
    return path


def test_rows_are_the_images_and_the_predictions_of_each_run(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "sheet.png"
    cli.main(["compare", "red", "sky", "--images", str(image), str(tmp_path / "*.png"), "--out", str(out)])
    assert str(out) in capsys.readouterr().out
    pixels = np.asarray(Image.open(out).convert("RGB"))
    right = pixels[:, -50].tolist()  # a column of pixels through all three rows
    assert [0, 0, 255] in right
    assert [255, 0, 0] in right
    blended = [color for color in right if color not in ([0, 0, 255], [255, 0, 0], [255, 255, 255])]
    assert len(blended) == 200  # the overlay's row
    assert right.index([0, 0, 255]) < right.index([255, 0, 0]) < right.index(blended[0])


def test_without_images_the_photographs_of_packages_are_drawn(tmp_path: Path) -> None:
    compare(CompareConfig(("red", "sky"), out=tmp_path / "a.png"))
    assert Image.open(tmp_path / "a.png").width > 8 * 150


def test_a_format_that_cannot_be_written_is_refused_at_once(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def predict(network: Red, image: np.ndarray) -> ColorImage:
        raise AssertionError("nothing is predicted")

    monkeypatch.setattr(Red, "predict", predict)
    with pytest.raises(UserError, match=r"no image format has the suffix \.xyz"):
        compare(CompareConfig(("red", "sky"), (image,), tmp_path / "new" / "a.xyz"))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("runs", [("red",), ("red", "red")])
def test_one_run_is_nothing_to_compare(runs: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give two runs or more to compare"):
        compare(CompareConfig(runs, out=tmp_path / "a.png"))
