import numpy as np
import pytest

from jaxcolor import oklab
from jaxcolor.data.classes import VOC_CLASSES, voc_colors
from jaxcolor.data.colors import class_colors, has_background, separated_colors
from jaxcolor.data.label_maps import VOID

CAMVID = (
    "Sky", "Building", "Pole", "Road", "Pavement", "Tree", "SignSymbol", "Fence", "Car", "Pedestrian",
    "Bicyclist",
)  # fmt: skip


def smallest_distance(colors: np.ndarray) -> float:
    lab = oklab.from_srgb(colors / 255)
    distances = np.linalg.norm(lab[:, None] - lab, axis=-1)
    return float(distances[~np.eye(len(lab), dtype=bool)].min())


def test_only_vocs_own_classes_have_vocs_colors() -> None:
    np.testing.assert_array_equal(class_colors(VOC_CLASSES), voc_colors())
    np.testing.assert_array_equal(class_colors(list(VOC_CLASSES)), voc_colors())
    for other in (CAMVID, VOC_CLASSES[:20], VOC_CLASSES[::-1], ("background", "cat"), ()):
        np.testing.assert_array_equal(class_colors(other), separated_colors())


def test_the_palette_is_fixed() -> None:
    """A mask that was saved by an earlier version keeps its colors."""
    assert separated_colors()[:12].tolist() == [
        [0, 114, 178], [230, 159, 0], [0, 158, 115], [213, 94, 0], [86, 180, 233], [204, 121, 167],
        [240, 228, 66], [135, 0, 90], [150, 0, 255], [75, 75, 15], [0, 0, 255], [255, 15, 255],
    ]  # fmt: skip
    assert separated_colors()[VOID].tolist() == [224, 224, 192]


def test_colors_are_far_from_each_other_and_from_void_black_and_white() -> None:
    colors = separated_colors()
    fixed = np.array([[224, 224, 192], [0, 0, 0], [255, 255, 255]], np.uint8)
    # In OKLab a difference of 0.02 is just visible. The first 11 colors of VOC are as near as this:
    assert smallest_distance(voc_colors()[:11]) < 0.034
    for count, distance in ((11, 0.15), (21, 0.14), (30, 0.12), (60, 0.09), (255, 0.045)):
        assert smallest_distance(colors[:count]) >= distance
        assert smallest_distance(np.concatenate([colors[:count], fixed])) >= min(distance, 0.11)
    assert len(np.unique(colors, axis=0)) == 256
    assert oklab.from_srgb(colors[:VOID] / 255)[:, 0].min() > 0.39, "a color is near black"


def test_the_shared_palette_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        class_colors(CAMVID)[0] = 1


@pytest.mark.parametrize(
    ("classes", "found"),
    [
        (VOC_CLASSES, True),
        (("background", "disc"), True),
        (("_background_", "cell"), True),
        (("Background", "cell"), True),
        (CAMVID, False),
        (("class 0", "class 1"), True),
        (("class 0", "class 1", "class 2"), False),
        (("road", "background"), False),
        ((), False),
    ],
)
def test_class_0_is_a_background_if_it_is_named_so_or_one_of_two(
    classes: tuple[str, ...], found: bool
) -> None:
    assert has_background(classes) == found
