import numpy as np
import pytest
from skimage.metrics import structural_similarity

from jaxcolor.image_scores import IMAGES_PER_SSIM, colorfulness, psnr, ssim, ssim_of_images

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (3, 16, 16, 3), np.uint8)


def test_psnr_of_a_constant_error() -> None:
    dark = np.full((2, 8, 8, 3), 100, np.uint8)
    assert psnr(dark + 5, dark) == pytest.approx(20 * np.log10(255 / 5))
    # Of all pixels together: half of them are right, so that the squared error is half of it.
    half = dark.copy()
    half[0] += 5
    assert psnr(half, dark) == pytest.approx(20 * np.log10(255 / 5) + 10 * np.log10(2))
    assert psnr(dark, dark) == float("inf")


def test_ssim_is_one_for_equal_images_and_low_for_noise() -> None:
    assert ssim(IMAGES, IMAGES) == pytest.approx(1)
    assert abs(ssim(IMAGES, IMAGES[::-1].swapaxes(1, 2))) < 0.75
    assert abs(ssim(IMAGES[:1], IMAGES[1:2])) < 0.1
    # Many as one wide image: what each of them has by itself.
    many, others = RNG.integers(0, 256, (2, 2 * IMAGES_PER_SSIM + 3, 12, 9, 3), np.uint8)
    single = [structural_similarity(a, b, channel_axis=-1) for a, b in zip(many, others, strict=True)]
    np.testing.assert_allclose(ssim_of_images(many, others), single, atol=1e-12)
    assert ssim(many, others) == pytest.approx(np.mean(single), abs=1e-12)
    # Two constant images differ in their luminance alone: (2·μν + c) / (μ² + ν² + c), c = (0.01 · 255)².
    dark, light = (np.full((1, 4, 4, 3), value, np.uint8) for value in (50, 100))
    c = 2.55**2
    assert ssim(dark, light) == pytest.approx((2 * 50 * 100 + c) / (50**2 + 100**2 + c), rel=1e-4)


def test_colorfulness_by_hand() -> None:
    gray = np.repeat(RNG.integers(0, 256, (2, 8, 8, 1), np.uint8), 3, axis=-1)
    assert colorfulness(gray) == 0
    red = np.zeros((1, 2, 2, 3), np.uint8)
    red[..., 0] = 200  # R − G is 200, and (R + G) / 2 − B is 100, everywhere
    assert colorfulness(red) == pytest.approx(0.3 * np.hypot(200, 100))
    mixed = np.concatenate([red, red], axis=1)
    mixed[:, :2] = 0  # now each is half of it in the mean, and spreads by as much
    assert colorfulness(mixed) == pytest.approx(1.3 * np.hypot(100, 50))
