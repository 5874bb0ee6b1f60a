import numpy as np
import pytest

from jaxcolor.data.examples import VOID
from jaxcolor.data.shapes import COUNTS, SHAPES, ShapePictures


def test_pictures_are_the_same_each_time() -> None:
    first, again = ShapePictures("train"), ShapePictures("train")
    for a, b in zip(first[3], again[3], strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.any(first[3].picture != first[4].picture)
    assert np.any(first[3].picture != ShapePictures("validation")[3].picture)


def test_masks_have_all_classes_and_void_between_them() -> None:
    examples = ShapePictures("validation")
    assert len(examples) == COUNTS["validation"]
    found = np.zeros(256, int)
    for index in range(len(examples)):
        _, picture, mask = examples[index]
        assert picture.shape == (*examples.sizes[index], 3)
        assert picture.dtype == mask.dtype == np.uint8
        found += np.bincount(mask.ravel(), minlength=256)
        # No pixel of a class touches one of another: void lies between.
        for a, b in ((mask[1:], mask[:-1]), (mask[:, 1:], mask[:, :-1])):
            assert not ((a != b) & (a != VOID) & (b != VOID)).any()
    assert set(np.flatnonzero(found)) == {*range(len(SHAPES)), VOID}
    assert 0.3 < found[0] / found.sum() < 0.9
    with pytest.raises(IndexError):
        examples[len(examples)]
