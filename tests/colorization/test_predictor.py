from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxcolor.colorization import predictor
from jaxcolor.colorization.palette import paint
from jaxcolor.colorization.predictor import MARGIN, Colorizer, in_batches
from jaxcolor.colorization.preprocess import network_input
from jaxcolor.painting import gray_of

PALETTE = np.linspace(0, 0.9, 15).reshape(5, 3).astype(np.float32)
RNG = np.random.default_rng(0)


def by_brightness(variables: dict, x: jax.Array, train: bool) -> jax.Array:
    """Return logits that choose a color by the mean of a pixel and of its left neighbor."""
    brightness = (x + jnp.roll(x, 1, axis=2)).mean(-1, keepdims=True) / 2
    return variables["params"]["scale"] * -jnp.abs(brightness - jnp.linspace(0.3, 0.7, 5))


def make(downsize_input: bool = False) -> Colorizer:
    return Colorizer(by_brightness, {"params": {"scale": jnp.ones(())}}, PALETTE, downsize_input)


def expected(images: np.ndarray, downsize: bool = False) -> np.ndarray:
    inputs = network_input(jnp.asarray(images), downsize)
    labels = np.asarray(by_brightness({"params": {"scale": 1}}, inputs, train=False).argmax(-1))
    assert len(np.unique(labels)) >= 4
    return paint(labels, PALETTE)


@pytest.mark.parametrize("batch_size", [3, 7, 100])
def test_batches_keep_the_order_of_the_inputs(batch_size: int) -> None:
    sizes = []

    def double(x: np.ndarray) -> jax.Array:
        sizes.append(len(x))
        return jnp.asarray(2 * x)

    inputs = np.arange(14.0).reshape(7, 2)
    np.testing.assert_array_equal(in_batches(double, inputs, batch_size), 2 * inputs)
    assert set(sizes) == {batch_size}


def test_an_image_and_a_batch_have_the_colors_of_the_most_likely_labels() -> None:
    images = RNG.integers(0, 256, (7, 32, 64, 3), np.uint8)
    colorizer = make()
    colored = colorizer.predict(images)
    assert (colored.shape, colored.dtype) == ((7, 32, 64, 3), np.uint8)
    np.testing.assert_array_equal(colored, expected(images))
    np.testing.assert_array_equal(colorizer.predict(images[2]), colored[2])


def test_any_size_is_padded_at_the_right_and_below() -> None:
    image = RNG.integers(0, 256, (45, 61, 3), np.uint8)
    padded = np.pad(image, ((0, 19), (0, 3), (0, 0)), mode="edge")
    np.testing.assert_array_equal(make().predict(image), expected(padded[None])[0, :45, :61])
    for shape in ((1, 1, 3), (1, 5000, 3), (5000, 1, 3)):
        assert make().predict(np.zeros(shape, np.uint8)).shape == shape


def test_gray_rgba_files_and_pillow_images_are_accepted(tmp_path: Path) -> None:
    gray = RNG.integers(0, 256, (32, 32), np.uint8)
    image = gray[..., None].repeat(3, -1)
    colorizer = make()
    wanted = expected(image[None])[0]
    Image.fromarray(gray).save(tmp_path / "gray.png")
    with_alpha = np.concatenate([image, image[..., :1] // 2], -1)
    path = tmp_path / "gray.png"
    for given in (gray, gray[..., None], with_alpha, path, str(path), Image.fromarray(gray)):
        np.testing.assert_array_equal(colorizer.predict(given), wanted)


def test_super_resolution_sees_colors_at_a_quarter_of_the_resolution() -> None:
    images = RNG.integers(0, 256, (9, 32, 32, 3), np.uint8) // 4
    images += 48 * np.arange(9, dtype=np.uint8)[:, None, None, None] // 2
    np.testing.assert_array_equal(make(downsize_input=True).predict(images), expected(images, downsize=True))


@pytest.mark.parametrize("shape", [(300, 70), (129, 64), (40, 200)])
def test_a_large_image_is_colored_in_bands_as_the_whole_would_be(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = RNG.integers(0, 256, (*shape, 3), np.uint8)
    seen: list[tuple[int, ...]] = []

    def by_neighbors(variables: dict, x: jax.Array, train: bool) -> jax.Array:
        """A network that sees `MARGIN` pixels up and down."""
        seen.append(x.shape)
        return by_brightness(variables, x + jnp.roll(x, MARGIN, axis=1) + jnp.roll(x, -MARGIN, axis=1), train)

    variables = {"params": {"scale": jnp.ones(())}}
    whole = Colorizer(by_neighbors, variables, PALETTE).predict(
        np.pad(image, [(MARGIN,) * 2, (0, 0), (0, 0)], "edge")
    )
    seen.clear()
    monkeypatch.setattr(predictor, "PIXELS_AT_ONCE", 64 * 70)
    colored = Colorizer(by_neighbors, variables, PALETTE).predict(image)
    np.testing.assert_array_equal(colored, whole[MARGIN:-MARGIN])
    assert len(set(seen)) == 1  # all bands have one size, and are compiled once
    assert seen[0][1] < shape[0] + 2 * MARGIN or shape[0] < 64


def test_lightness_is_kept_unless_it_is_the_result() -> None:
    image = RNG.integers(0, 256, (32, 32, 3), np.uint8)
    kept = make().color(image)
    assert np.abs(gray_of(kept).astype(int) - gray_of(image)).max() <= 3
    np.testing.assert_array_equal(make().color(image, keep_lightness=False), make().predict(image))
    super_resolution = make(downsize_input=True)
    np.testing.assert_array_equal(super_resolution.color(image), super_resolution.predict(image))
