import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxcolor.layers.conv import plain

ROW = jnp.arange(1.0, 6.0).reshape(1, 1, 5, 1)  # an image of one row
DIGITS = jnp.zeros((3, 3, 1, 1)).at[1, :, 0, 0].set(jnp.asarray([1.0, 10.0, 100.0]))


def test_the_definition_on_hand_computed_values() -> None:
    x = jnp.asarray([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    kernel = jnp.arange(1.0, 10.0).reshape(3, 3, 1, 1)
    out = plain.conv2d_by_shifts(x, kernel, jnp.asarray([100.0]))
    # The first tap meets the pixel above and to the left, which is zero outside of the image.
    # Top left: 5·1 + 6·2 + 8·3 + 9·4 = 77, and so on.
    np.testing.assert_allclose(out[0, :, :, 0], [[177, 167], [147, 137]])


def test_the_definition_with_dilation_on_hand_computed_values() -> None:
    out = plain.conv2d_by_shifts(ROW, DIGITS, jnp.zeros(1), dilation=2)
    np.testing.assert_allclose(out[0, 0, :, 0], [310, 420, 531, 42, 53])


@pytest.mark.parametrize(
    ("stride", "columns", "dilation", "expected"),
    [
        (1, (0, 0), 1, [321, 432, 543]),
        (2, (0, 1), 1, [321, 543]),
        (2, (1, 0), 1, [210, 432]),
        (1, (0, 1), 2, [531, 42]),
    ],
)
def test_stride_padding_and_dilation_on_hand_computed_values(
    stride: int, columns: tuple[int, int], dilation: int, expected: list[int]
) -> None:
    padding = ((dilation, dilation), columns)
    out = plain.convolve(ROW, DIGITS, stride, padding, dilation)
    np.testing.assert_allclose(out[0, 0, :, 0], expected)


def test_groups_keep_channels_apart() -> None:
    x = jnp.concatenate([ROW, 2 * ROW], axis=-1)
    kernel = jnp.concatenate([DIGITS, 3 * DIGITS], axis=-1)
    out = plain.convolve(x, kernel, 1, ((1, 1), (0, 0)), 1, groups=2)
    np.testing.assert_allclose(out[0, 0], np.outer([321, 432, 543], [1, 6]))


@pytest.mark.parametrize(("size", "dilation"), [(1, 1), (3, 1), (3, 2), (5, 3)])
def test_both_definitions_equal_xla_in_values_and_gradients(size: int, dilation: int) -> None:
    keys = jax.random.split(jax.random.key(0), 4)
    x = jax.random.normal(keys[0], (2, 8, 9, 3))
    kernel = jax.random.normal(keys[1], (size, size, 3, 4))
    bias = jax.random.normal(keys[2], (4,))
    weights = jax.random.normal(keys[3], (2, 8, 9, 4))

    def xla(x: jax.Array, kernel: jax.Array, bias: jax.Array, dilation: int) -> jax.Array:
        reach = dilation * (size // 2)
        out = lax.conv_general_dilated(
            x, kernel, (1, 1), [(reach, reach)] * 2, rhs_dilation=(dilation, dilation),
            dimension_numbers=("NHWC", "HWIO", "NHWC"), precision=lax.Precision.HIGHEST,
        )  # fmt: skip
        return out + bias

    @jax.jit
    def outputs_and_gradients(*arrays: jax.Array) -> list:
        found = []
        for definition in (xla, plain.conv2d_by_shifts, plain.conv2d):
            out, transpose = jax.vjp(lambda *a, f=definition: f(*a, dilation), *arrays)
            found.append((out, transpose(weights)))
        return found

    expected, *others = outputs_and_gradients(x, kernel, bias)
    for found in others:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4, rtol=1e-5), found, expected)
