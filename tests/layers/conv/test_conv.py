from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxcolor.layers import fast_conv
from jaxcolor.layers.conv import Conv2d, conv2d_by_shifts
from jaxcolor.layers.conv.cpu import conv2d
from jaxcolor.layers.resize import Part, Squares, Upsampled, write_out

# kernel size, dilation, height, width, channels in and out
CASES = [
    (1, 1, 5, 4, 3, 2),
    (3, 1, 8, 8, 1, 8),
    (3, 1, 7, 9, 6, 5),
    (3, 2, 8, 8, 4, 3),
    (3, 4, 5, 6, 2, 2),
    (5, 1, 6, 9, 3, 4),
    (7, 1, 9, 8, 2, 3),
    (7, 3, 11, 4, 2, 3),
]


def arrays(case: tuple[int, ...], batch: int = 2) -> tuple[jax.Array, jax.Array, jax.Array]:
    size, _, height, width, ins, outs = case
    x, kernel, bias = jax.random.split(jax.random.key(0), 3)
    return (
        jax.random.normal(x, (batch, height, width, ins)),
        jax.random.normal(kernel, (size, size, ins, outs)) / (size * ins**0.5),
        jax.random.normal(bias, (outs,)),
    )


def test_oracle_on_hand_computed_values() -> None:
    x = jnp.asarray([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    kernel = jnp.arange(1.0, 10.0).reshape(3, 3, 1, 1)
    out = conv2d_by_shifts([x], kernel, jnp.asarray([100.0]))
    # The pixel above and left of the center meets the first tap, zero beyond the border.
    # top left: 5·1 + 6·2 + 8·3 + 9·4 = 77, and so on.
    np.testing.assert_allclose(out[0, :, :, 0], [[177, 167], [147, 137]])


def test_oracle_with_dilation_on_hand_computed_values() -> None:
    x = jnp.arange(1.0, 6.0).reshape(1, 1, 5, 1)
    kernel = jnp.zeros((3, 3, 1, 1)).at[1, :, 0, 0].set(jnp.asarray([1.0, 10.0, 100.0]))
    out = conv2d_by_shifts([x], kernel, jnp.zeros(1), dilation=2)
    np.testing.assert_allclose(out[0, 0, :, 0], [310, 420, 531, 42, 53])


def test_oracle_sees_parts_side_by_side_and_upsampled() -> None:
    image = jnp.full((1, 2, 2, 1), 5.0)
    small = jnp.full((1, 1, 1, 2), 7.0)
    kernel = jnp.asarray([1.0, 10.0, 100.0]).reshape(1, 1, 3, 1)
    out = conv2d_by_shifts([image, Upsampled(small)], kernel, jnp.zeros(1))
    np.testing.assert_allclose(out, np.full((1, 2, 2, 1), 5 + 70 + 700))


@pytest.mark.parametrize("case", CASES)
def test_oracle_equals_lax(case: tuple[int, ...]) -> None:
    x, kernel, bias = arrays(case)
    reach = case[1] * (case[0] // 2)
    expected = lax.conv_general_dilated(
        x, kernel, (1, 1), [(reach, reach)] * 2, rhs_dilation=(case[1], case[1]),
        dimension_numbers=("NHWC", "HWIO", "NHWC"), precision=lax.Precision.HIGHEST,
    )  # fmt: skip
    np.testing.assert_allclose(conv2d_by_shifts([x], kernel, bias, case[1]), expected + bias, atol=2e-5)


def check_equal(parts: list[Any], kernel: jax.Array, bias: jax.Array, dilation: int) -> None:
    """Values and gradients of the fast convolution are those of the oracle, values without gradients too."""

    def values_and_gradients(convolve: Callable[..., Part]) -> Any:
        def loss(*args: Any) -> tuple[jax.Array, jax.Array]:
            out = write_out(convolve(*args, dilation))
            # Weighted, so that a transposed or shifted gradient would differ.
            weights = jnp.arange(out.size).reshape(out.shape).astype(jnp.float32) / out.size
            return jnp.sum(jnp.sin(out) * weights), out

        return jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))(parts, kernel, bias)

    fast, plain = values_and_gradients(conv2d), values_and_gradients(conv2d_by_shifts)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4, rtol=1e-4), fast, plain)
    alone = write_out(jax.jit(conv2d, static_argnums=3)(parts, kernel, bias, dilation))
    np.testing.assert_allclose(alone, plain[1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_one_image(case: tuple[int, ...]) -> None:
    x, kernel, bias = arrays(case)
    check_equal([x], kernel, bias, case[1])


@pytest.mark.parametrize("case", CASES)
def test_an_upsampled_image(case: tuple[int, ...]) -> None:
    x, kernel, bias = arrays(case)
    check_equal([Upsampled(x)], kernel, bias, case[1])


@pytest.mark.parametrize("size", [1, 3, 5])
def test_images_side_by_side(size: int) -> None:
    x, kernel, bias = arrays((size, 1, 6, 10, 5, 4))
    small = jax.random.normal(jax.random.key(3), (2, 3, 5, 2))
    check_equal([x[..., :1], Upsampled(small), x[..., 1:3]], kernel, bias, 1)


@pytest.mark.parametrize(("ins", "wide"), [(1, False), (3, False), (4, False), (9, True)])
def test_a_image_beside_an_upsampled_one(ins: int, wide: bool) -> None:
    """Beside one of few channels the output comes in squares; beside a wide one it is written out."""
    x, kernel, bias = arrays((3, 1, 6, 10, ins, 4))
    small = jax.random.normal(jax.random.key(3), (2, 3, 5, 2))
    kernel = jax.random.normal(jax.random.key(4), (3, 3, ins + 4, 4))
    parts: list[Any] = [Upsampled(small), x, Upsampled(2 * small)]
    assert isinstance(conv2d(parts, kernel, bias), jax.Array) == wide
    check_equal(parts, kernel, bias, 1)


@pytest.mark.parametrize("dilation", [1, 2])
def test_a_image_in_squares(dilation: int) -> None:
    x, kernel, bias = arrays((3, 1, 6, 8, 4, 3))
    check_equal([Squares.cut(x, 1)], kernel, bias, dilation)


@pytest.mark.parametrize("ins", [1, 3])
def test_thin_images_make_squares(ins: int) -> None:
    x, kernel, bias = arrays((3, 1, 6, 8, ins, 5))
    assert isinstance(conv2d([x], kernel, bias), Squares)
    check_equal([x], kernel, bias, 1)
    odd = x[:, 1:, 1:]
    assert isinstance(conv2d([odd], kernel, bias), jax.Array)
    check_equal([odd], kernel, bias, 1)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_more_and_fewer_channels_out_than_in(size: int) -> None:
    """The gradient for the kernel is taken from the side with fewer channels."""
    for ins, outs in ((5, 7), (7, 5)):
        x, kernel, bias = arrays((size, 1, 5, 7, ins, outs))
        check_equal([x], kernel, bias, 1)


def test_on_a_gpu_it_is_one_plain_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program traced for a GPU, run here."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    x, kernel, bias = arrays((3, 1, 6, 10, 5, 4))
    parts: list[Any] = [x[..., :2], Upsampled(x[:, ::2, ::2, 2:])]
    program = str(jax.make_jaxpr(lambda *args: conv2d(*args))(parts, kernel, bias))
    assert program.count("conv_general_dilated[") == 1
    assert "barrier" not in program
    check_equal(parts, kernel, bias, 2)


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_batches_taken_in_pieces(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient for the kernel sums over pieces of the batch; the last one may be smaller."""
    monkeypatch.setattr(fast_conv, "PIXELS_AT_ONCE", 100)
    x, kernel, bias = arrays((3, 1, 7, 9, 3, 2), batch)
    check_equal([x], kernel, bias, 1)


@pytest.mark.parametrize(("kernel_size", "ins", "features"), [(1, 1, 4), (3, 3, 8), (5, 2, 3), (7, 4, 2)])
def test_initialization_is_the_assignments(kernel_size: int, ins: int, features: int) -> None:
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


def test_bias_apart() -> None:
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 5))
    layer = Conv2d(3)
    out, variables = layer.init_with_output(jax.random.key(0), x)
    without, bias = layer.apply(variables, x, method="without_bias")
    np.testing.assert_array_equal(bias, variables["params"]["bias"])
    np.testing.assert_allclose(without + bias, out, atol=1e-6)


def test_computes_in_bfloat16_with_float32_parameters() -> None:
    layer = Conv2d(4, dtype=jnp.bfloat16)
    out, variables = layer.init_with_output(jax.random.key(0), jnp.ones((1, 8, 8, 2)))
    out = write_out(out)
    assert out.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
