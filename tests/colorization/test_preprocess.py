import jax.numpy as jnp
import numpy as np

from jaxcolor.colorization.preprocess import bilinear_baseline, downsize, gray, network_input, scale


def test_scale_divides_by_256() -> None:
    pixels = jnp.asarray([0, 64, 255], jnp.uint8).reshape(1, 1, 1, 3)
    np.testing.assert_array_equal(scale(pixels).ravel(), [0, 0.25, 255 / 256])


def test_gray_is_the_plain_mean() -> None:
    pixels = jnp.asarray([[0.1, 0.2, 0.6], [1.0, 0.0, 0.5]]).reshape(1, 1, 2, 3)
    np.testing.assert_allclose(gray(pixels), np.asarray([0.3, 0.5]).reshape(1, 1, 2, 1), rtol=1e-6)


def test_downsize_averages_squares_of_4() -> None:
    image = np.zeros((1, 4, 8, 3), np.float32)
    image[0, 0, 0] = [16, 0, 0]
    image[0, 3, 7] = [0, 32, 0]
    small = downsize(jnp.asarray(image))
    np.testing.assert_array_equal(small[0, :, :4], np.broadcast_to([1.0, 0, 0], (4, 4, 3)))
    np.testing.assert_array_equal(small[0, :, 4:], np.broadcast_to([0, 2.0, 0], (4, 4, 3)))


def test_bilinear_baseline_interpolates_between_the_squares() -> None:
    image = np.zeros((1, 4, 8, 3), np.float32)
    image[:, :, 4:] = 8
    line = bilinear_baseline(jnp.asarray(image))[0, 2, :, 0]
    # Two pixels with half-pixel centers, enlarged by 4.
    np.testing.assert_allclose(line, [0, 0, 1, 3, 5, 7, 8, 8], atol=1e-6)


def test_network_input() -> None:
    pixels = jnp.full((2, 4, 4, 3), 128, jnp.uint8)
    np.testing.assert_array_equal(network_input(pixels, downsize_input=False), np.full((2, 4, 4, 1), 0.5))
    np.testing.assert_array_equal(network_input(pixels, downsize_input=True), np.full((2, 4, 4, 3), 0.5))
