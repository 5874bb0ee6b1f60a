import csv
from pathlib import Path

import numpy as np
import pytest

from jaxcolor.colorization.data import LabeledImages
from jaxcolor.colorization.job import summarize
from jaxcolor.colorization.palette import nearest_color
from jaxcolor.colorization.scores import (
    BILINEAR,
    MAJORITY,
    NETWORK,
    PERFECT,
    TABLE,
    ImageScores,
    describe_scores,
    gray_level_table,
    majority_color,
    score_baselines,
    score_images,
    write_image_scores,
)
from jaxcolor.data.photographs import load_sample

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (3, 16, 16, 3), np.uint8)


def test_scores_of_palette_indices() -> None:
    palette = np.asarray([[0, 0, 0], [0.5, 0.5, 0.5]], np.float32)
    labels = np.zeros((1, 8, 8), np.uint8)
    labels[:, :4] = 1
    originals = np.repeat(labels[..., None] * np.uint8(128), 3, axis=-1)
    perfect = score_images(labels, labels, originals, palette)
    assert (perfect.accuracy, perfect.psnr, perfect.colorfulness) == (1, float("inf"), 0)
    wrong = score_images(1 - labels, labels, originals, palette)
    assert (wrong.accuracy, wrong.psnr) == (0, pytest.approx(20 * np.log10(255 / 128)))


def test_each_image_has_a_row_with_its_scores(tmp_path: Path) -> None:
    palette = np.asarray([[0, 0, 0], [0.5, 0.5, 0.5]], np.float32)
    labels = np.zeros((2, 8, 8), np.uint8)
    predicted = labels.copy()
    predicted[1, :2] = 1  # a quarter of the pixels is wrong, by 128
    originals = np.zeros((2, 8, 8, 3), np.uint8)
    write_image_scores(tmp_path / "scores.csv", predicted, labels, originals, palette)
    with open(tmp_path / "scores.csv", newline="") as file:
        first, second = csv.DictReader(file)
    assert first == {"image": "0", "accuracy": "1.0", "psnr": "", "ssim": "1.0"}
    assert (second["image"], second["accuracy"]) == ("1", "0.75")
    assert float(second["psnr"]) == pytest.approx(20 * np.log10(255 / 64))
    assert 0 < float(second["ssim"]) < 1


# Two colors of the same gray level, and a darker one.
PALETTE = np.asarray([[0.25, 0.25, 0.25], [0.75, 0, 0.75], [0, 0.75, 0.75]], np.float32)


def split(labels: np.ndarray) -> LabeledImages:
    return LabeledImages(np.round(PALETTE * 256).astype(np.uint8)[labels], labels.astype(np.uint8))


def test_each_gray_level_has_its_most_frequent_color() -> None:
    labels = np.full((1, 4, 4), 1)
    labels[0, 0] = 0
    labels[0, 1, :3] = 2
    table = gray_level_table(split(labels), colors=3)
    assert table[64] == 0
    assert table[128] == 1  # nine pixels of color 1 to three of color 2
    assert table[0] == 0  # no pixel has it: that of level 64
    assert table[97] == table[255] == 1  # nearer to level 128
    assert majority_color(labels, colors=3) == 1


def test_baselines_by_hand() -> None:
    train = np.full((1, 8, 8), 1)
    train[0, 0] = 0
    validation = np.full((1, 8, 8), 2)
    validation[0, :2], validation[0, 2] = 0, 1
    scores = score_baselines(split(train), split(validation), PALETTE)
    assert list(scores) == [MAJORITY, TABLE, PERFECT]
    assert scores[MAJORITY].accuracy == 1 / 8
    assert scores[TABLE].accuracy == 3 / 8
    assert (scores[PERFECT].accuracy, scores[PERFECT].psnr) == (1, float("inf"))


def test_super_resolution_is_compared_with_the_bilinear_enlargement() -> None:
    images = load_sample()[1][:20]
    palette = np.random.default_rng(0).uniform(0, 1, (12, 3)).astype(np.float32)
    truth = LabeledImages(images, np.asarray(nearest_color(images, palette)))
    scores = score_baselines(truth, truth, palette, downsize_input=True)
    assert list(scores) == [MAJORITY, BILINEAR, PERFECT]
    assert scores[MAJORITY].accuracy < scores[BILINEAR].accuracy < 1
    assert scores[MAJORITY].psnr < scores[BILINEAR].psnr < scores[PERFECT].psnr


def test_scores_are_a_table() -> None:
    good = ImageScores(0.5, 18, 0.5, 10)
    lines = describe_scores({"this network": good}, 12.0).splitlines()
    assert lines[0].endswith("colorfulness (originals 12.0)")
    assert lines[1] == "this network    50.0 %  18.0 dB  0.500   10.0"


@pytest.mark.parametrize(("ours", "word"), [(0.7, "more"), (0.5, "fewer")])
@pytest.mark.parametrize("baseline", [TABLE, BILINEAR])
def test_the_network_is_compared_in_a_sentence(ours: float, word: str, baseline: str) -> None:
    rows = {baseline: ImageScores(0.622, 1, 1, 1), NETWORK: ImageScores(ours, 1, 1, 1)}
    text = summarize(rows)
    assert f"colors {word} pixels right than the {baseline}" in text
    assert text.endswith(f"{100 * ours:.1f} % and 62.2 %.")


def test_a_network_as_good_as_the_baseline_is_not_called_worse() -> None:
    rows = {TABLE: ImageScores(0.5, 1, 1, 1), NETWORK: ImageScores(0.5, 1, 1, 1)}
    assert summarize(rows).startswith("The network colors as many pixels right as the gray-level table")
