import csv
import json
from pathlib import Path

import numpy as np
import pytest

from jaxcolor.data.label_maps import VOID
from jaxcolor.segmentation.scores import (
    count_confusion,
    describe_classes,
    explain,
    scores,
    write_image_scores,
    write_scores,
)

CLASSES = ["road", "car", "bus"]
CONFUSION = np.array([[3, 1, 0], [2, 4, 0], [0, 0, 0]], float)
METRICS = {"val_loss": 0.5, "pixel_accuracy": 0.7, "mean_accuracy": 17 / 24, "mean_iou": 15 / 28}


def test_confusion_of_an_image_leaves_out_void() -> None:
    truth = np.array([[0, 0, 1], [1, 2, VOID]], np.uint8)
    predicted = np.array([[0, 1, 1], [0, 2, 2]], np.uint8)
    np.testing.assert_array_equal(count_confusion(truth, predicted, 3), [[1, 1, 0], [1, 1, 0], [0, 0, 1]])


def test_scores_on_hand_computed_values() -> None:
    found = scores(CONFUSION)
    assert found.pixel_accuracy == pytest.approx(7 / 10)
    assert found.mean_accuracy == pytest.approx((3 / 4 + 4 / 6) / 2)
    np.testing.assert_allclose(found.iou, [3 / 6, 4 / 7, np.nan])
    assert found.mean_iou == pytest.approx((3 / 6 + 4 / 7) / 2)
    np.testing.assert_allclose(found.accuracy, [3 / 4, 4 / 6, np.nan])
    np.testing.assert_array_equal(found.pixels, [4, 6, 0])


def test_a_class_that_is_only_predicted_counts_as_zero() -> None:
    found = scores(np.array([[3, 1], [0, 0]], float))
    np.testing.assert_allclose(found.iou, [3 / 4, 0])
    assert found.mean_accuracy == pytest.approx(3 / 4)


def test_the_file_of_scores_has_each_class(tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.json", 13, METRICS, CONFUSION, CLASSES)
    text = (tmp_path / "scores.json").read_text()
    assert "NaN" not in text
    assert json.loads(text) == {
        "epoch": 13,
        **METRICS,
        "classes": [
            {"name": "road", "iou": 0.5, "accuracy": 0.75, "pixels": 4},
            {"name": "car", "iou": 4 / 7, "accuracy": 4 / 6, "pixels": 6},
            {"name": "bus", "iou": None, "accuracy": None, "pixels": 0},
        ],
    }


def test_the_table_has_a_row_per_image_and_empty_cells_for_absent_classes(tmp_path: Path) -> None:
    write_image_scores(tmp_path / "scores.csv", ["a, b", "void"], [scores(CONFUSION), None], CLASSES)
    with open(tmp_path / "scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["image", "mean_iou", "pixel_accuracy", "iou road", "iou car", "iou bus"]
    assert rows[0] == {
        "image": "a, b", "mean_iou": str((0.5 + 4 / 7) / 2), "pixel_accuracy": "0.7", "iou road": "0.5",
        "iou car": str(4 / 7), "iou bus": "",
    }  # fmt: skip
    assert list(rows[1].values()) == ["void", "", "", "", "", ""]
    with pytest.raises(ValueError, match="zip"):
        write_image_scores(tmp_path / "scores.csv", ["a"], [], CLASSES)


def test_a_line_per_class() -> None:
    assert describe_classes(CONFUSION, ["road", "car", "school bus"]).splitlines() == [
        "  road        IoU  50.0 %", "  car         IoU  57.1 %", "  school bus  IoU —"
    ]  # fmt: skip


def test_scores_are_explained_beside_those_of_the_most_frequent_class() -> None:
    # All pixels as car: 6 of 10 are right; the IoU of car is 6/10, and that of road 0.
    assert explain(CONFUSION, CLASSES) == (
        "The network labels 70.0 % of the pixels right, with a mean IoU of 53.6 %. Labeling every pixel car, "
        "the most frequent class, would get 60.0 % right, with a mean IoU of 30.0 %.\n"
        "No validation mask has bus. The mean IoU leaves out a class that is not predicted either, and "
        "counts one that is predicted as 0."
    )
    assert "No validation mask" not in explain(np.eye(3), CLASSES)
