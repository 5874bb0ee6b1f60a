"""`Conv2d` as a layer: initialization, dtypes, and composition with any function."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxcolor.layers import Conv2d, concatenate, max_pool, upsample
from jaxcolor.layers.conv.plain import conv2d_by_shifts


@pytest.mark.parametrize(("kernel_size", "ins", "features"), [(1, 1, 4), (3, 3, 8), (5, 2, 3), (7, 4, 2)])
def test_parameters_are_drawn_between_plus_and_minus_one_over_the_root_of_fan_in(
    kernel_size: int, ins: int, features: int
) -> None:
    params = Conv2d(features, kernel_size).init(jax.random.key(1), jnp.zeros((1, 8, 8, ins)))["params"]
    limit = (ins * kernel_size**2) ** -0.5
    assert params["kernel"].shape == (kernel_size, kernel_size, ins, features)
    assert params["bias"].shape == (features,)
    values = jnp.concatenate([params["kernel"].ravel(), params["bias"]])
    assert jnp.abs(values).max() <= limit
    assert jnp.abs(params["kernel"]).max() > 0.5 * limit


def test_initial_values_are_uniform() -> None:
    variables = Conv2d(64).init(jax.random.key(0), jnp.zeros((1, 8, 8, 32)))
    limit = (32 * 9) ** -0.5
    for name, count in (("kernel", 18_432), ("bias", 64)):
        values = variables["params"][name]
        # Mean 0 and variance limit²/3, within five standard errors.
        assert abs(float(values.mean())) < 5 * limit / 3**0.5 / count**0.5
        assert abs(float(values.var()) / (limit**2 / 3) - 1) < 5 * 0.9 / count**0.5
    assert jnp.abs(variables["params"]["kernel"]).max() > 0.999 * limit


@pytest.mark.parametrize("kernel_size", [0, 2, 4, -2])
def test_even_kernel_sizes_are_refused(kernel_size: int) -> None:
    with pytest.raises(ValueError, match="kernel_size must be odd"):
        Conv2d(4, kernel_size).init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))


def test_the_bias_can_be_left_out() -> None:
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 5))
    layer = Conv2d(3)
    out, variables = layer.init_with_output(jax.random.key(0), x)
    without, bias = layer.apply(variables, x, method="without_bias")
    np.testing.assert_array_equal(bias, variables["params"]["bias"])
    np.testing.assert_allclose(without + bias, out, atol=1e-6)


def test_bfloat16_has_float32_parameters() -> None:
    layer = Conv2d(4, dtype=jnp.bfloat16)
    out, variables = layer.init_with_output(jax.random.key(0), jnp.ones((1, 8, 8, 2)))
    assert out.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
@pytest.mark.parametrize("channels", [1, 3, 4, 5])
def test_outputs_are_arrays_for_flax_and_jax(
    channels: int, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program that is traced for a GPU runs on the CPU here."""
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    x = jax.random.normal(jax.random.key(0), (2, 4, 6, channels))
    layer = Conv2d(8)
    variables = layer.init(jax.random.key(0), x)
    kernel, bias = variables["params"]["kernel"], variables["params"]["bias"]
    expected = conv2d_by_shifts(x, kernel, bias)

    def convolve(x: jax.Array) -> jax.Array:
        out = layer.apply(variables, x)
        assert isinstance(out, jax.Array)
        return out

    def use(out: jax.Array) -> list[jax.Array]:
        return [nn.relu(out), jax.nn.softmax(out), out + out, out.sum(-1), jnp.exp(out)]

    for run in (lambda f: f, jax.jit, jax.checkpoint):
        found = run(lambda x: use(convolve(x)))(x)
        for one, wanted in zip(found, use(expected), strict=True):
            np.testing.assert_allclose(one, wanted, rtol=1e-4, atol=1e-4)
    stacked = jax.vmap(lambda one: convolve(one[None])[0])(x)
    np.testing.assert_allclose(stacked, expected, atol=1e-5)
    gradient = jax.jit(jax.grad(lambda x: jnp.sin(convolve(x)).sum()))(x)
    wanted = jax.jit(jax.grad(lambda x: jnp.sin(conv2d_by_shifts(x, kernel, bias)).sum()))(x)
    np.testing.assert_allclose(gradient, wanted, atol=1e-4)


def combine(a: jax.Array, b: jax.Array, how: Callable[..., jax.Array]) -> jax.Array:
    small = max_pool(a)
    return upsample(small) + upsample(2 * small) + how([a, b]).sum(-1, keepdims=True)


@pytest.mark.parametrize("how", [concatenate, lambda parts: jnp.concatenate(parts, axis=-1)])
def test_upsampled_and_concatenated_images_are_arrays(how: Callable[..., jax.Array]) -> None:
    a, b = (jax.random.normal(jax.random.key(i), (1, 4, 4, 2)) for i in range(2))
    pooled = np.asarray(a).reshape(1, 2, 2, 2, 2, 2).max(axis=(2, 4))
    expected = 3 * pooled.repeat(2, 1).repeat(2, 2) + np.concatenate([a, b], -1).sum(-1, keepdims=True)
    for run in (lambda f: f, jax.jit, jax.checkpoint):
        np.testing.assert_allclose(run(lambda a, b: combine(a, b, how))(a, b), expected, atol=1e-5)
