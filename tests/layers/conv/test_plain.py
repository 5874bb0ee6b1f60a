import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxcolor.layers.conv import plain


def test_the_definition_on_hand_computed_values() -> None:
    x = jnp.asarray([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    kernel = jnp.arange(1.0, 10.0).reshape(3, 3, 1, 1)
    out = plain.conv2d_by_shifts(x, kernel, jnp.asarray([100.0]))
    # The first tap meets the pixel above and to the left, which is zero outside of the image.
    # Top left: 5·1 + 6·2 + 8·3 + 9·4 = 77, and so on.
    np.testing.assert_allclose(out[0, :, :, 0], [[177, 167], [147, 137]])


def test_the_definition_with_dilation_on_hand_computed_values() -> None:
    x = jnp.arange(1.0, 6.0).reshape(1, 1, 5, 1)
    kernel = jnp.zeros((3, 3, 1, 1)).at[1, :, 0, 0].set(jnp.asarray([1.0, 10.0, 100.0]))
    out = plain.conv2d_by_shifts(x, kernel, jnp.zeros(1), dilation=2)
    np.testing.assert_allclose(out[0, 0, :, 0], [310, 420, 531, 42, 53])


@pytest.mark.parametrize(("size", "dilation"), [(1, 1), (3, 1), (3, 2), (5, 1), (7, 3)])
def test_the_definition_equals_xla(size: int, dilation: int) -> None:
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (2, 8, 9, 3))
    kernel = jax.random.normal(keys[1], (size, size, 3, 4))
    bias = jax.random.normal(keys[2], (4,))
    reach = dilation * (size // 2)
    expected = lax.conv_general_dilated(
        x, kernel, (1, 1), [(reach, reach)] * 2, rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"), precision=lax.Precision.HIGHEST,
    )  # fmt: skip
    shifts = plain.conv2d_by_shifts(x, kernel, bias, dilation)
    np.testing.assert_allclose(shifts, expected + bias, atol=1e-4)
    np.testing.assert_allclose(plain.conv2d(x, kernel, bias, dilation), expected + bias, atol=1e-4)
