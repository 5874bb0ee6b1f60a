import numpy as np
import pytest

from jaxcolor.segmentation.scores import scores


def test_scores_on_hand_computed_values() -> None:
    found = scores(np.array([[3, 1, 0], [2, 4, 0], [0, 0, 0]], float))
    assert found.pixel_accuracy == pytest.approx(7 / 10)
    assert found.mean_accuracy == pytest.approx((3 / 4 + 4 / 6) / 2)
    np.testing.assert_allclose(found.iou, [3 / 6, 4 / 7, np.nan])
    assert found.mean_iou == pytest.approx((3 / 6 + 4 / 7) / 2)


def test_a_class_that_is_only_predicted_counts_as_zero() -> None:
    found = scores(np.array([[3, 1], [0, 0]], float))
    np.testing.assert_allclose(found.iou, [3 / 4, 0])
    assert found.mean_accuracy == pytest.approx(3 / 4)
