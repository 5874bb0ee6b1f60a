import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import peak_signal_noise_ratio

from jaxcolor import oklab
from jaxcolor.painting import gray_of
from jaxcolor.photo.chroma import LEVELS, SIDE, make_chroma
from jaxcolor.photo.scores import GRAY, ORIGINAL, TABLE, PhotoScores, baselines, describe, score_photographs

RNG = np.random.default_rng(0)
IMAGES = [RNG.integers(0, 256, shape, np.uint8) for shape in ((8, 9, 3), (5, 7, 3))]


def test_scores_are_means_over_the_images() -> None:
    def shift(image: np.ndarray) -> np.ndarray:
        return image // 2

    scores = score_photographs(IMAGES, {"half": shift})
    psnr = [peak_signal_noise_ratio(image, image // 2) for image in IMAGES]
    difference = [deltaE_ciede2000(rgb2lab(image), rgb2lab(image // 2)).mean() for image in IMAGES]
    assert scores["half"].psnr == pytest.approx(np.mean(psnr))
    assert scores["half"].ciede2000 == pytest.approx(np.mean(difference))
    assert scores["half"].colorfulness == pytest.approx(scores[ORIGINAL].colorfulness / 2, rel=0.05)
    assert (scores[ORIGINAL].psnr, scores[ORIGINAL].ciede2000) == (np.inf, 0)
    table = describe(scores | {"exact": PhotoScores(20.0, 1.5, 30.25)}).splitlines()
    assert table[-1].split() == ["exact", "20.00", "dB", "1.50", "30.2"]
    assert "inf" not in table[-2]


def test_the_table_has_the_most_likely_chroma_of_each_lightness() -> None:
    middle = SIDE * SIDE // 2
    counts = np.zeros((LEVELS, SIDE * SIDE), np.int64)
    counts[:, middle] = 1000
    counts[: LEVELS // 2, middle] = 10
    counts[: LEVELS // 2, middle + 3 * SIDE] = 1000  # dark pixels are reddish: a = 0.09
    methods = baselines(make_chroma(counts))
    gray = np.array([[60, 220]], np.uint8)
    image = gray[..., None].repeat(3, axis=-1)
    np.testing.assert_array_equal(methods[GRAY](image), image)
    colored = methods[TABLE](image)
    lab = oklab.from_srgb(colors := colored / 255)
    np.testing.assert_allclose(lab[0, 0, 1:], [0.09, 0], atol=0.01)
    np.testing.assert_array_equal(colored[0, 1], image[0, 1])
    assert np.abs(gray_of(colored).astype(int) - gray).max() <= 1
    assert colors.max() <= 1
