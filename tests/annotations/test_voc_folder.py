from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from annotation_files import write_image
from PIL import Image

from jaxcolor.annotations.voc_folder import Names, VocFolder
from jaxcolor.data.voc_examples import open_folder


def test_names_differ() -> None:
    names = Names()
    paths = ["a", "a", "b/a", "b/A", "c/d/a", "c_d/a", "b", "B"]
    chosen = [names.choose(PurePosixPath(path)) for path in paths]
    assert chosen == ["a", "a-2", "b_a", "b_A-2", "c_d_a", "c_d_a-2", "b", "B-2"]
    assert names.changed == 6


@pytest.mark.parametrize(
    "name", ["#1", "a, b", '"a', "a\\b", ".a", " a", "\udcff", "a\nb", "-1", "a.jpg", "Bär 7 (x)"]
)
def test_lists_hold_all_names(tmp_path: Path, name: str) -> None:
    image = write_image(tmp_path / "x.jpg")
    folder = VocFolder(tmp_path, b"")
    names = Names()
    chosen = [names.choose(path) for path in (PurePosixPath(name), PurePosixPath("b"))]
    for each in chosen:
        folder.add(each, image, ".jpg", np.zeros((40, 60), np.uint8))
    folder.write_list("train", chosen)
    assert open_folder(tmp_path).names("train") == chosen


def test_masks_have_the_palette_of_voc(tmp_path: Path) -> None:
    image = write_image(tmp_path / "x.jpg")
    labels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    VocFolder(tmp_path, b"").add("a", image, ".JPG", labels)
    mask = Image.open(tmp_path / "SegmentationClass/a.png")
    assert mask.mode == "P"
    np.testing.assert_array_equal(np.asarray(mask), labels)
    colors = np.asarray(mask.convert("RGB")).reshape(256, 3)
    assert colors[[0, 1, 15, 255]].tolist() == [[0, 0, 0], [128, 0, 0], [192, 128, 128], [224, 224, 192]]
    assert (tmp_path / "JPEGImages/a.JPG").read_bytes() == image.read_bytes()
