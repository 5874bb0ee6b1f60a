from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxcolor.colorization.palette import paint
from jaxcolor.colorization.predictor import Colorizer, in_batches
from jaxcolor.colorization.preprocess import network_input
from jaxcolor.models import CNN
from jaxcolor.training.state import initialize

PALETTE = np.linspace(0, 0.9, 15).reshape(5, 3).astype(np.float32)
MODEL = CNN(4, 5)
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def colorizer() -> Colorizer:
    return Colorizer(MODEL.apply, variables_of(1), PALETTE)


@cache
def variables_of(channels: int) -> dict:
    return initialize(MODEL, jnp.zeros((1, 8, 8, channels)), seed=0)


def expected(images: np.ndarray, downsize: bool = False, channels: int = 1) -> np.ndarray:
    logits = jax.jit(MODEL.apply)(variables_of(channels), network_input(jnp.asarray(images), downsize))
    return paint(np.asarray(logits.argmax(-1)), PALETTE)


@pytest.mark.parametrize("batch_size", [3, 7, 100])
def test_batches_keep_the_order_of_the_inputs(batch_size: int) -> None:
    sizes = []

    def double(x: np.ndarray) -> jax.Array:
        sizes.append(len(x))
        return jnp.asarray(2 * x)

    inputs = np.arange(14.0).reshape(7, 2)
    np.testing.assert_array_equal(in_batches(double, inputs, batch_size), 2 * inputs)
    assert set(sizes) == {batch_size}


def test_an_image_and_a_batch_have_the_colors_of_the_most_likely_labels(colorizer: Colorizer) -> None:
    images = RNG.integers(0, 256, (7, 32, 64, 3), np.uint8)
    colored = colorizer.predict(images)
    assert (colored.shape, colored.dtype) == ((7, 32, 64, 3), np.uint8)
    np.testing.assert_array_equal(colored, expected(images))
    np.testing.assert_array_equal(colorizer.predict(images[2]), colored[2])


def test_any_size_is_padded_at_the_right_and_below(colorizer: Colorizer) -> None:
    image = RNG.integers(0, 256, (45, 61, 3), np.uint8)
    padded = np.pad(image, ((0, 19), (0, 3), (0, 0)), mode="edge")
    np.testing.assert_array_equal(colorizer.predict(image), expected(padded[None])[0, :45, :61])
    assert colorizer.predict(image[:1, :1]).shape == (1, 1, 3)


def test_gray_rgba_files_and_pillow_images_are_accepted(colorizer: Colorizer, tmp_path: Path) -> None:
    gray = RNG.integers(0, 256, (32, 32), np.uint8)
    image = gray[..., None].repeat(3, -1)
    wanted = colorizer.predict(image)
    Image.fromarray(gray).save(tmp_path / "gray.png")
    with_alpha = np.concatenate([image, image[..., :1] // 2], -1)
    path = tmp_path / "gray.png"
    for given in (gray, gray[..., None], with_alpha, path, str(path), Image.fromarray(gray)):
        np.testing.assert_array_equal(colorizer.predict(given), wanted)


def test_super_resolution_sees_colors() -> None:
    images = RNG.integers(0, 256, (1, 32, 32, 3), np.uint8)
    colored = Colorizer(MODEL.apply, variables_of(3), PALETTE, downsize_input=True).predict(images)
    np.testing.assert_array_equal(colored, expected(images, downsize=True, channels=3))
