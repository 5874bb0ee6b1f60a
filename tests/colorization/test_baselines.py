import numpy as np
import pytest

from jaxcolor.colorization.baselines import (
    BILINEAR,
    GRAY,
    MAJORITY,
    PERFECT,
    describe_scores,
    gray_levels,
    gray_to_color,
    majority_color,
    score_baselines,
    share_of_way,
    ways,
)
from jaxcolor.colorization.data import Split
from jaxcolor.colorization.palette import nearest_color
from jaxcolor.colorization.scores import ImageScores
from jaxcolor.data.photographs import load_sample

# Two colors of the same gray level, and a darker one.
PALETTE = np.asarray([[0.25, 0.25, 0.25], [0.75, 0, 0.75], [0, 0.75, 0.75]], np.float32)


def split(labels: np.ndarray) -> Split:
    return Split(np.round(PALETTE * 256).astype(np.uint8)[labels], labels.astype(np.uint8))


def test_gray_levels_are_rounded_means() -> None:
    pixels = np.asarray([[0, 0, 1], [0, 1, 1], [255, 255, 255], [255, 254, 254]], np.uint8)
    assert gray_levels(pixels[None, None])[0, 0].tolist() == [0, 1, 255, 254]


def test_each_gray_level_has_its_most_frequent_color() -> None:
    labels = np.full((1, 4, 4), 1)
    labels[0, 0] = 0
    labels[0, 1, :3] = 2
    table = gray_to_color(split(labels), colors=3)
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
    assert list(scores) == [MAJORITY, GRAY, PERFECT]
    assert scores[MAJORITY].accuracy == 1 / 8
    assert scores[GRAY].accuracy == 3 / 8
    assert (scores[PERFECT].accuracy, scores[PERFECT].psnr) == (1, float("inf"))


def test_super_resolution_is_compared_with_the_bilinear_enlargement() -> None:
    images = load_sample()[1][:20]
    palette = np.random.default_rng(0).uniform(0, 1, (12, 3)).astype(np.float32)
    truth = Split(images, np.asarray(nearest_color(images, palette)))
    scores = score_baselines(truth, truth, palette, downsize_input=True)
    assert list(scores) == [MAJORITY, BILINEAR, PERFECT]
    assert scores[MAJORITY].accuracy < scores[BILINEAR].accuracy < 1
    assert scores[MAJORITY].psnr < scores[BILINEAR].psnr < scores[PERFECT].psnr


def test_share_of_the_way() -> None:
    assert share_of_way(3, 2, 6) == 0.25
    assert share_of_way(1, 2, 6) == -0.25
    assert np.isnan(share_of_way(1, 2, 2))
    guess, good, perfect = (ImageScores(a, p, 0.5, 10) for a, p in ((0.3, 15), (0.5, 18), (1, 21)))
    way = ways(good, {"worst": guess, "gray": guess, "perfect": perfect})
    assert list(way) == ["worst", "gray"]
    assert way["gray"] == pytest.approx({"accuracy": 2 / 7, "psnr": 0.5})
    text = describe_scores({"gray": guess, "this network": good, "perfect": perfect}, way, 12.0)
    assert "of the way from gray to perfect: 29 % (accuracy), 50 % (PSNR)" in text
    assert "of the way from worst to perfect: 29 %" in text
    assert "this network    50.0 %  18.0 dB  0.500" in text
