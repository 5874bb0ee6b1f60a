import numpy as np

from jaxcolor.data.label_maps import VOID
from jaxcolor.segmentation.preprocess import (
    label_map_sizes,
    network_sizes,
    pad_label_map,
    random_blur,
    random_colors,
    random_crop,
    resize_image,
    resize_label_map,
)


def test_few_sizes_stay_and_many_are_rounded() -> None:
    assert network_sizes([(360, 480)] * 9, ()) == [(360, 480)] * 9
    assert network_sizes([(375, 500)], (520,)) == [(520, 693)]
    assert network_sizes([(375, 500), (10, 10)], (224, 200)) == [(224, 200)] * 2
    many = [(375, 500 - i) for i in range(60)]
    rounded = network_sizes(many, (520,))
    assert {height for height, _ in rounded} == {512}
    assert all(
        width % 32 == 0 and abs(width - 520 * w / 375) <= 17
        for (_, width), (_, w) in zip(rounded, many, strict=True)
    )
    assert len(set(label_map_sizes(many))) == 1
    assert all(h >= 375 and w >= 500 for h, w in label_map_sizes(many))
    assert label_map_sizes([(360, 480)] * 3) == [(360, 480)] * 3


def test_resizing() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    image[:, 2:] = 200
    assert resize_image(image, (2, 2))[:, :, 0].tolist() == [[29, 171], [29, 171]]  # 200 / 7
    mask = np.repeat([[1, 255]], 4, axis=0).astype(np.uint8)
    assert resize_label_map(mask, (2, 4)).tolist() == [[1, 1, 255, 255]] * 2
    assert pad_label_map(mask, (5, 3)).tolist() == [[1, 255, VOID]] * 4 + [[VOID] * 3]


def test_random_crops_move_image_and_mask_alike() -> None:
    rng = np.random.default_rng(0)
    mask = (np.arange(64)[:, None] // 8 + np.zeros((64, 96))).astype(np.uint8)
    image = np.repeat(mask[..., None] * 20, 3, axis=2)
    sizes = set()
    for _ in range(20):
        cropped, labels = random_crop(image, mask, (64, 96), 80, rng)
        assert cropped.shape == (80, 80, 3)
        assert labels.shape == (80, 80)
        inside = labels != VOID
        assert inside.any()
        sizes.add(int(inside.sum()))
        # Away from the edges between two labels the gray level is that of the label.
        assert np.median(np.abs(cropped[inside][:, 0].astype(int) - 20 * labels[inside].astype(int))) <= 2
        assert (cropped[~inside] == [124, 116, 104]).all()
    assert len(sizes) > 5


def test_random_crops_are_scaled_relative_to_the_resized_image() -> None:
    mask = np.zeros((40, 60), np.uint8)
    image = np.zeros((40, 60, 3), np.uint8)
    sides = []
    for seed in range(50):
        _, labels = random_crop(image, mask, (80, 120), 300, np.random.default_rng(seed), (0.5, 1.5))
        height, width = (labels != VOID).any(axis=1).sum(), (labels != VOID).any(axis=0).sum()
        assert abs(width - 1.5 * height) <= 1
        sides.append(height)
    assert 40 <= min(sides) < 45
    assert 115 < max(sides) <= 120


def test_every_other_image_is_blurred() -> None:
    image = np.zeros((31, 31, 3), np.uint8)
    image[15, 15] = 255
    blurred = [random_blur(image, 2.0, np.random.default_rng(seed)) for seed in range(100)]
    changed = [values for values in blurred if (values != image).any()]
    assert 25 < len(changed) < 60  # some of the deviations are too small to change a pixel
    heights = [int(values.max()) for values in changed]
    assert max(heights) > 200
    assert min(heights) < 20  # the peak of a Gaussian with a deviation of 2 is 255 / (8π) = 10
    np.testing.assert_array_equal(random_blur(image, 2.0, np.random.default_rng(3)), blurred[3])


def test_random_colors_change_brightness_contrast_and_saturation() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(80, 120, (20, 30, 3), np.uint8)
    np.testing.assert_array_equal(random_colors(image, 0.0, rng), image)
    changed = [random_colors(image, 0.4, np.random.default_rng(seed)).astype(float) for seed in range(50)]
    means = [values.mean() / image.mean() for values in changed]
    assert 0.58 < min(means) < 0.75
    assert 1.25 < max(means) < 1.42
    spreads = [values.mean(-1).std() / image.mean(-1).std() for values in changed]
    assert min(spreads) < 0.7
    assert max(spreads) > 1.4
    np.testing.assert_array_equal(random_colors(image, 0.4, np.random.default_rng(3)), changed[3])
