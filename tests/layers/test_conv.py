import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxcolor.layers.conv import Conv2d, conv2d, conv2d_by_shifts

# kernel size, dilation, height, width, channels in and out
CASES = [
    (1, 1, 5, 4, 3, 2),
    (3, 1, 8, 8, 1, 8),
    (3, 1, 7, 9, 6, 5),
    (3, 2, 8, 8, 4, 3),
    (3, 4, 5, 6, 2, 2),
    (5, 1, 6, 9, 3, 4),
    (7, 3, 11, 4, 2, 3),
]


def arrays(case: tuple[int, ...]) -> tuple[jax.Array, jax.Array, jax.Array]:
    size, _, height, width, ins, outs = case
    x, kernel, bias = jax.random.split(jax.random.key(0), 3)
    return (
        jax.random.normal(x, (2, height, width, ins)),
        jax.random.normal(kernel, (size, size, ins, outs)) / (size * ins**0.5),
        jax.random.normal(bias, (outs,)),
    )


def test_oracle_on_hand_computed_values() -> None:
    x = jnp.asarray([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    kernel = jnp.arange(1.0, 10.0).reshape(3, 3, 1, 1)
    out = conv2d_by_shifts(x, kernel, jnp.asarray([100.0]))
    # The pixel above and left of the centre meets the first tap, zero beyond the border.
    # top left: 5·1 + 6·2 + 8·3 + 9·4 = 77, and so on.
    np.testing.assert_allclose(out[0, :, :, 0], [[177, 167], [147, 137]])


def test_oracle_with_dilation_on_hand_computed_values() -> None:
    x = jnp.arange(1.0, 6.0).reshape(1, 1, 5, 1)
    kernel = jnp.zeros((3, 3, 1, 1)).at[1, :, 0, 0].set(jnp.asarray([1.0, 10.0, 100.0]))
    out = conv2d_by_shifts(x, kernel, jnp.zeros(1), dilation=2)
    np.testing.assert_allclose(out[0, 0, :, 0], [310, 420, 531, 42, 53])


@pytest.mark.parametrize("case", CASES)
def test_fast_convolution_equals_oracle(case: tuple[int, ...]) -> None:
    x, kernel, bias = arrays(case)
    fast, plain = (f(x, kernel, bias, case[1]) for f in (conv2d, conv2d_by_shifts))
    np.testing.assert_allclose(fast, plain, atol=2e-5)


@pytest.mark.parametrize("case", CASES)
def test_convolution_equals_lax(case: tuple[int, ...]) -> None:
    x, kernel, bias = arrays(case)
    reach = case[1] * (case[0] // 2)
    expected = lax.conv_general_dilated(
        x, kernel, (1, 1), [(reach, reach)] * 2, rhs_dilation=(case[1], case[1]),
        dimension_numbers=("NHWC", "HWIO", "NHWC"), precision=lax.Precision.HIGHEST,
    )  # fmt: skip
    np.testing.assert_allclose(conv2d_by_shifts(x, kernel, bias, case[1]), expected + bias, atol=2e-5)


@pytest.mark.parametrize("case", CASES)
def test_gradients_equal_those_of_oracle(case: tuple[int, ...]) -> None:
    x, kernel, bias = arrays(case)

    def gradients(convolve):  # type: ignore[no-untyped-def]
        # Weighted, so that a transposed or shifted gradient would differ.
        def loss(*args: jax.Array) -> jax.Array:
            out = convolve(*args, case[1])
            return jnp.sum(
                jnp.sin(out) * jnp.arange(out.size).reshape(out.shape).astype(jnp.float32) / out.size
            )

        return jax.grad(loss, argnums=(0, 1, 2))(x, kernel, bias)

    for fast, plain in zip(gradients(conv2d), gradients(conv2d_by_shifts), strict=True):
        np.testing.assert_allclose(fast, plain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("kernel_size", "ins", "features"), [(1, 1, 4), (3, 3, 8), (5, 2, 3), (7, 4, 2)])
def test_initialisation_is_the_assignments(kernel_size: int, ins: int, features: int) -> None:
    params = Conv2d(features, kernel_size).init(jax.random.key(1), jnp.zeros((1, 8, 8, ins)))["params"]
    limit = (ins * kernel_size**2) ** -0.5
    assert params["kernel"].shape == (kernel_size, kernel_size, ins, features)
    assert params["bias"].shape == (features,)
    values = jnp.concatenate([params["kernel"].ravel(), params["bias"]])
    assert jnp.abs(values).max() <= limit
    assert jnp.abs(params["kernel"]).max() > 0.5 * limit


def test_initial_values_are_uniform() -> None:
    kernel = Conv2d(64).init(jax.random.key(0), jnp.zeros((1, 8, 8, 32)))["params"]["kernel"]
    limit = (32 * 9) ** -0.5
    # Mean 0 and variance s²/3, within five standard errors of 18,432 draws.
    assert abs(float(kernel.mean())) < 5 * limit / 3**0.5 / kernel.size**0.5
    assert abs(float(kernel.var()) / (limit**2 / 3) - 1) < 5 * 0.9 / kernel.size**0.5


@pytest.mark.parametrize("kernel_size", [0, 2, 4, 9, -1])
def test_refuses_other_kernel_sizes(kernel_size: int) -> None:
    with pytest.raises(ValueError, match="kernel_size must be 1, 3, 5 or 7"):
        Conv2d(4, kernel_size).init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))


def test_computes_in_bfloat16_with_float32_parameters() -> None:
    layer = Conv2d(4, dtype=jnp.bfloat16)
    out, variables = layer.init_with_output(jax.random.key(0), jnp.ones((1, 8, 8, 2)))
    assert out.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
