"""The fast convolution equals the plain one, which equals the definition, in values and gradients."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_arrays import normal

from jaxcolor.layers import concatenate, upsample
from jaxcolor.layers.conv import cpu, plain
from jaxcolor.layers.fusion import Squares, source_of
from jaxcolor.training import compilation

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
    (9, 1, 8, 7, 2, 2),
]
Make = Callable[..., jax.Array]  # the image that is convolved, from the arrays that it is made of


def arrays(case: tuple[int, ...], batch: int = 2) -> tuple[jax.Array, jax.Array, jax.Array]:
    size, _, height, width, ins, outs = case
    kernel = normal(1, size, size, ins, outs) / (size * ins**0.5)
    return normal(0, batch, height, width, ins), kernel, normal(2, outs)


def check_equal(
    make: Make, parts: list[jax.Array], kernel: jax.Array, bias: jax.Array, dilation: int = 1
) -> None:
    """Compare with the plain convolution: values, with and without gradients, and all gradients."""

    def values_and_gradients(convolve: Callable[..., jax.Array], *args: Any) -> Any:
        def loss(parts: list[jax.Array], kernel: jax.Array, bias: jax.Array) -> tuple[jax.Array, jax.Array]:
            out = convolve(make(*parts), kernel, bias, dilation)
            # Weighted, so that a transposed or shifted gradient would differ.
            weights = jnp.arange(out.size).reshape(out.shape).astype(jnp.float32) / out.size
            return jnp.sum(jnp.sin(out) * weights), out

        return jax.grad(loss, argnums=(0, 1, 2), has_aux=True)(*args)

    # One program compiles faster than three.
    def compute(*args: Any) -> Any:
        parts, kernel, bias = args
        fast, expected = values_and_gradients(cpu.conv2d, *args), values_and_gradients(plain.conv2d, *args)
        return fast, expected, cpu.conv2d(make(*parts), kernel, bias, dilation)

    fast, expected, alone = compilation.jit(compute)(parts, kernel, bias)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4, rtol=1e-4), fast, expected)
    np.testing.assert_allclose(alone, expected[1], atol=1e-4, rtol=1e-4)


def is_in_squares(make: Make, parts: list[jax.Array], kernel: jax.Array, bias: jax.Array) -> bool:
    """Return whether the fast convolution computes squares."""
    found: list[bool] = []

    def record(*parts: jax.Array) -> jax.Array:
        out = cpu.conv2d(make(*parts), kernel, bias)
        found.append(isinstance(source_of(out), Squares))
        return out

    jax.eval_shape(record, *parts)
    return found[0]


@pytest.mark.parametrize("case", CASES)
def test_one_image(case: tuple[int, ...]) -> None:
    x, kernel, bias = arrays(case)
    check_equal(lambda x: x, [x], kernel, bias, case[1])


@pytest.mark.shipped
@pytest.mark.parametrize("case", [(3, 1, 8, 8, 1, 8), (3, 1, 8, 8, 6, 5), (5, 1, 6, 8, 3, 4)])
def test_one_image_with_the_options_of_users(case: tuple[int, ...]) -> None:
    x, kernel, bias = arrays(case)
    check_equal(lambda x: x, [x], kernel, bias, case[1])


@pytest.mark.parametrize("case", [CASES[0], CASES[1], CASES[2], CASES[3], CASES[5]])
def test_an_upsampled_image(case: tuple[int, ...]) -> None:
    x, kernel, bias = arrays(case)
    check_equal(upsample, [x], kernel, bias, case[1])


@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_concatenation(size: int) -> None:
    x, kernel, bias = arrays((size, 1, 6, 10, 5, 4))
    parts = [x[..., :1], normal(3, 2, 3, 5, 2), x[..., 1:3]]
    check_equal(lambda a, b, c: concatenate([concatenate([a, upsample(b)]), c]), parts, kernel, bias)


@pytest.mark.usefixtures("each_option")
@pytest.mark.parametrize(("ins", "squares"), [(1, True), (4, True), (5, False)])
def test_an_image_beside_an_upsampled_one_is_computed_in_squares_if_it_has_few_channels(
    ins: int, squares: bool
) -> None:
    x, kernel, bias = arrays((3, 1, 6, 10, ins + 4, 4))
    parts = [normal(3, 2, 3, 5, 2), x[..., :ins]]

    def make(small: jax.Array, x: jax.Array) -> jax.Array:
        return concatenate([upsample(small), x, upsample(2 * small)])

    assert is_in_squares(make, parts, kernel, bias) == squares
    check_equal(make, parts, kernel, bias)


@pytest.mark.parametrize("dilation", [1, 2])
def test_a_convolution_of_a_convolution_in_squares(dilation: int) -> None:
    x, kernel, bias = arrays((3, 1, 6, 8, 4, 4))

    def make(x: jax.Array) -> jax.Array:
        return cpu.conv2d(x, kernel, bias)

    assert is_in_squares(lambda x: x, [x], kernel, bias)
    check_equal(make, [x], kernel, bias, dilation)


@pytest.mark.parametrize("ins", [1, 3])
def test_an_image_with_few_channels_is_computed_in_squares_if_its_sides_are_even(ins: int) -> None:
    x, kernel, bias = arrays((3, 1, 6, 8, ins, 5))
    assert is_in_squares(lambda x: x, [x], kernel, bias)
    for odd in (x[:, 1:], x[:, :, 1:]):
        assert not is_in_squares(lambda x: x, [odd], kernel, bias)
        check_equal(lambda x: x, [odd], kernel, bias)


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize(("ins", "outs"), [(5, 7), (7, 5)])
def test_more_and_fewer_output_channels_than_input_channels(size: int, ins: int, outs: int) -> None:
    """The gradient for the kernel is computed from the side with fewer channels."""
    x, kernel, bias = arrays((size, 1, 5, 7, ins, outs))
    check_equal(lambda x: x, [x], kernel, bias)


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_the_kernel_gradient_sums_over_pieces_of_the_batch(
    batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "PIXELS_PER_PIECE", 100)
    x, kernel, bias = arrays((3, 1, 7, 9, 3, 2), batch)
    check_equal(lambda x: x, [x], kernel, bias)


@pytest.mark.parametrize(
    ("batch", "pieces"), [(1, [1]), (3, [2, 1]), (7, [2, 2, 2, 1]), (100, [7] * 14 + [2])]
)
def test_a_piece_has_about_so_many_pixels_and_there_are_at_most_16(
    batch: int, pieces: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images of 63 pixels, in pieces of about 100."""
    monkeypatch.setattr(cpu, "PIXELS_PER_PIECE", 100)
    sizes: list[int] = []

    def record(x: jax.Array, *_: Any) -> jax.Array:
        sizes.append(len(x))
        return jnp.zeros((3, 3, 1, 1))

    monkeypatch.setattr(cpu, "_correlate", record)
    x = jnp.ones((batch, 7, 9, 1))
    cpu.correlate(x, x, 3, 1, 1)
    assert sizes == pieces


def test_a_piece_of_16_bit_numbers_has_at_least_16_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "PIXELS_PER_PIECE", 100)
    sizes: list[int] = []

    def record(x: jax.Array, *_: Any) -> jax.Array:
        sizes.append(len(x))
        return jnp.zeros((3, 3, 1, 1), x.dtype)

    monkeypatch.setattr(cpu, "_correlate", record)
    x = jnp.ones((40, 7, 9, 1), jnp.bfloat16)
    cpu.correlate(x, x, 3, 1, 1)
    assert sizes == [16, 16, 8]


@pytest.mark.parametrize("size", [(6, 5), (1, 7)])
@pytest.mark.parametrize("dilation", [1, 2, 3, 5, 8])
def test_kernel_gradients_equal_those_of_the_plain_convolution(dilation: int, size: tuple[int, int]) -> None:
    """Up to a dilation with which most taps see nothing but padding."""
    x, gradient = normal(0, 2, *size, 3), normal(1, 2, *size, 4)
    around = ((dilation, dilation),) * 2
    convolve = partial(plain.convolve, x, stride=1, padding=around, dilation=dilation)
    (expected,) = jax.vjp(convolve, jnp.zeros((3, 3, 3, 4)))[1](gradient)
    for correlate in (cpu.kernel_gradient, cpu.correlate_by_taps):
        found = correlate(x, gradient, 3, dilation, dilation)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_sources_are_used_in_the_dtype_of_the_kernel() -> None:
    x, kernel, bias = arrays((3, 1, 4, 4, 2, 3))
    half, half_bias = kernel.astype(jnp.bfloat16), bias.astype(jnp.bfloat16)
    out = jax.jit(lambda x: cpu.conv2d(upsample(x), half, half_bias))(x)
    assert out.dtype == jnp.bfloat16
    expected = plain.conv2d_by_shifts(upsample(x), kernel, bias)
    np.testing.assert_allclose(out.astype(jnp.float32), expected, atol=0.1)
