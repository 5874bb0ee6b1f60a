from pathlib import Path

import numpy as np
from PIL import Image
from voc_layout import write_voc

from jaxcolor.data.label_maps import VOID, LabelFormat
from jaxcolor.data.voc_examples import VocExamples, open_folder
from jaxcolor.segmentation.survey import Survey, binary, survey


def survey_of(folder: Path, classes: int = 255) -> Survey:
    layout = open_folder(folder)
    return survey(VocExamples(layout, layout.names("train"), LabelFormat(classes)))


def masks(folder: Path) -> Path:
    return folder / "VOCdevkit" / "VOC2012" / "SegmentationClass"


def test_pixels_and_masks_are_counted_per_label(tmp_path: Path) -> None:
    folder = write_voc(tmp_path)
    Image.new("L", (64, 48), 7).save(masks(folder) / "e.png")
    found = survey_of(folder)
    # Of each of four masks of 48×64 pixels: 4 rows of class 0, 32, 1 and 31 columns below.
    assert found.pixels[[0, 1, 255, 2, 7]].tolist() == [
        4 * 4 * 64, 4 * 44 * 32, 4 * 44, 4 * 44 * 31, 48 * 64,
    ]  # fmt: skip
    assert found.masks[[0, 1, 2, 3, 7, 255]].tolist() == [4, 4, 4, 0, 1, 4]
    assert found.labels == {0, 1, 2, 7, 255}
    assert found.example == {0: "a", 1: "a", 2: "a", 255: "a", 7: "e"}
    assert found.missing("abcd") == ["d"]
    assert found.void_share() == 4 * 44 / (5 * 48 * 64)
    assert not found.problems


def test_all_problems_are_found(tmp_path: Path) -> None:
    folder = write_voc(tmp_path)
    for name in ("b", "d"):
        data = (masks(folder) / f"{name}.png").read_bytes()
        (masks(folder) / f"{name}.png").write_bytes(data[:-40])
    found = survey_of(folder)
    assert [problem.split(" is broken")[0][-5:] for problem in found.problems] == ["b.png", "d.png"]
    assert found.masks[1] == 3


def test_palettes_that_differ_are_named(tmp_path: Path) -> None:
    folder = write_voc(tmp_path)
    assert survey_of(folder).conflict is None
    image = Image.open(masks(folder) / "c.png")
    palette = np.arange(256).repeat(3).astype(np.uint8)
    palette[3:9] = [255, 0, 0, 0, 0, 255]
    image.putpalette(palette.tobytes())
    image.save(masks(folder) / "c.png")
    assert survey_of(folder).conflict == "label 1 is 1 1 1 in the mask a, but 255 0 0 in c"


def test_in_a_binary_survey_255_is_class_1() -> None:
    found = Survey(example={0: "a", VOID: "b"})
    found.pixels[[0, VOID]], found.masks[[0, VOID]] = [30, 10], [4, 2]
    changed = binary(found)
    assert changed.labels == {0, 1}
    assert changed.pixels[[0, 1, VOID]].tolist() == [30, 10, 0]
    assert changed.masks[[0, 1, VOID]].tolist() == [4, 2, 0]
    assert changed.example == {0: "a", 1: "b"}
