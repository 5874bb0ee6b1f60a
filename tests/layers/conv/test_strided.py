from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_arrays import normal

from jaxcolor.layers import Conv2d, ConvTranspose2d, concatenate
from jaxcolor.layers.conv import plain, strided


def values_and_gradients(function: Callable, *arrays: jax.Array) -> Any:
    out, transpose = jax.vjp(function, *arrays)
    return out, transpose(normal(9, *out.shape))


def every_second_pixel(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    return plain.conv2d_by_shifts(x, kernel, bias)[:, ::2, ::2]


@pytest.mark.parametrize("size", [1, 3, 5, 7])
@pytest.mark.parametrize(
    ("functions", "definition"),
    [
        ([partial(plain.conv2d, stride=2), strided.conv2d], every_second_pixel),
        ([plain.conv_transpose2d, strided.conv_transpose2d], plain.conv_transpose2d_by_shifts),
    ],
)
def test_values_and_gradients_are_those_of_the_definition(
    functions: list[Callable], definition: Callable, size: int
) -> None:
    arrays = normal(0, 2, 6, 8, 3), normal(1, size, size, 3, 4), normal(2, 4)
    expected, *others = jax.jit(
        lambda *arrays: [values_and_gradients(function, *arrays) for function in (definition, *functions)]
    )(*arrays)
    for found in others:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-4, rtol=1e-4), found, expected)


def test_the_transposed_definition_on_hand_computed_values() -> None:
    x = jnp.asarray([[1.0, 2.0]]).reshape(1, 1, 2, 1)
    kernel = jnp.zeros((3, 3, 1, 1)).at[1, :, 0, 0].set(jnp.asarray([1.0, 10.0, 100.0]))
    out = plain.conv_transpose2d_by_shifts(x, kernel, jnp.asarray([1000.0]))
    # A pixel's middle tap falls on the even pixels: 10, 100 + 2, 20, 200.
    np.testing.assert_allclose(out[0, :, :, 0], [[1010, 1102, 1020, 1200], [1000] * 4])


def test_a_transposed_convolution_of_a_concatenation() -> None:
    parts = normal(0, 1, 4, 4, 2), normal(1, 1, 4, 4, 3)
    kernel, bias = normal(2, 3, 3, 5, 4), normal(3, 4)
    found = jax.jit(lambda *parts: strided.conv_transpose2d(concatenate(parts), kernel, bias))(*parts)
    expected = plain.conv_transpose2d_by_shifts(jnp.concatenate(parts, axis=-1), kernel, bias)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "size", "fan_in"),
    [(Conv2d(8, 3, stride=2), (2, 3), 3 * 3 * 5), (ConvTranspose2d(8, 3), (8, 12), 3 * 3 * 8)],
)
def test_layers_have_the_size_and_the_start_of_pytorchs(
    layer: Conv2d | ConvTranspose2d, size: tuple[int, int], fan_in: int
) -> None:
    x = normal(0, 2, 4, 6, 5)
    out, variables = jax.jit(layer.init_with_output)(jax.random.key(0), x)
    assert out.shape == (2, *size, 8)
    for leaf in jax.tree.leaves(variables):
        assert jnp.abs(leaf).max() <= fan_in**-0.5
    assert jnp.abs(variables["params"]["kernel"]).max() > 0.9 * fan_in**-0.5


def test_odd_sides_and_even_kernels_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot halve an image of 4×5 pixels"):
        Conv2d(2, stride=2).init(jax.random.key(0), jnp.zeros((1, 4, 5, 1)))
    with pytest.raises(ValueError, match="kernel_size must be odd, not 4"):
        ConvTranspose2d(2, 4).init(jax.random.key(0), jnp.zeros((1, 4, 4, 1)))
