import numpy as np
import pytest

from jaxcolor.data.label_maps import VOID
from jaxcolor.data.shapes import COUNTS, SHAPES, ShapeImages


def test_images_are_the_same_each_time() -> None:
    first, again = ShapeImages("train"), ShapeImages("train")
    for a, b in zip(first[3], again[3], strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.any(first[3].image != first[4].image)
    assert np.any(first[3].image != ShapeImages("validation")[3].image)


def test_masks_have_all_classes_and_void_between_them() -> None:
    examples = ShapeImages("validation")
    assert len(examples) == COUNTS["validation"]
    found = np.zeros(256, int)
    for index in range(len(examples)):
        name, image, mask = examples[index]
        assert name == examples.names[index]
        assert image.shape == (*examples.sizes[index], 3)
        assert image.dtype == mask.dtype == np.uint8
        found += np.bincount(mask.ravel(), minlength=256)
        # No pixel of a class touches one of another: void lies between.
        for a, b in ((mask[1:], mask[:-1]), (mask[:, 1:], mask[:, :-1])):
            assert not ((a != b) & (a != VOID) & (b != VOID)).any()
    assert set(np.flatnonzero(found)) == {*range(len(SHAPES)), VOID}
    assert 0.3 < found[0] / found.sum() < 0.9
    with pytest.raises(IndexError):
        examples[len(examples)]
