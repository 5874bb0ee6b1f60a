"""`Conv2d` as a layer: initialization, dtypes, and composition with any function."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from random_arrays import normal

from jaxcolor.layers import Conv2d, concatenate, max_pool, upsample
from jaxcolor.layers.conv.plain import conv2d_by_shifts


@pytest.mark.parametrize(
    ("kernel_size", "ins", "features", "limit"), [(1, 1, 4, 1), (3, 3, 8, 27**-0.5), (5, 4, 3, 0.1)]
)
def test_parameters_are_drawn_between_plus_and_minus_one_over_the_root_of_fan_in(
    kernel_size: int, ins: int, features: int, limit: float
) -> None:
    params = Conv2d(features, kernel_size).init(jax.random.key(1), jnp.zeros((1, 8, 8, ins)))["params"]
    assert params["kernel"].shape == (kernel_size, kernel_size, ins, features)
    assert params["bias"].shape == (features,)
    values = jnp.concatenate([params["kernel"].ravel(), params["bias"]])
    assert jnp.abs(values).max() <= limit
    assert jnp.abs(params["kernel"]).max() > 0.5 * limit


def test_initial_values_are_uniform_up_to_both_limits() -> None:
    params = Conv2d(256).init(jax.random.key(0), jnp.zeros((1, 8, 8, 16)))["params"]
    limit = 1 / 12  # the fan-in is 16·3² = 144
    for name, count, margin in (("kernel", 36_864, 0.001), ("bias", 256, 0.05)):
        values = params[name]
        # Mean 0 and variance limit²/3, within five standard errors.
        assert abs(float(values.mean())) < 5 * limit / 3**0.5 / count**0.5
        assert abs(float(values.var()) / (limit**2 / 3) - 1) < 5 * 0.9 / count**0.5
        assert -limit <= values.min() < -(1 - margin) * limit
        assert (1 - margin) * limit < values.max() <= limit


@pytest.mark.parametrize("kernel_size", [0, 2, 4, -2])
def test_even_kernel_sizes_are_refused(kernel_size: int) -> None:
    with pytest.raises(ValueError, match="kernel_size must be odd"):
        Conv2d(4, kernel_size).init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))


def test_the_dilation_is_the_distance_between_taps() -> None:
    x = normal(0, 1, 6, 8, 2)
    layer = Conv2d(3, dilation=2)
    variables = layer.init(jax.random.key(0), x)
    expected = conv2d_by_shifts(x, **variables["params"], dilation=2)
    np.testing.assert_allclose(layer.apply(variables, x), expected, atol=1e-5)  # type: ignore[arg-type]


def test_the_bias_can_be_left_out() -> None:
    x = normal(0, 2, 4, 4, 5)
    layer = Conv2d(3)
    out, variables = layer.init_with_output(jax.random.key(0), x)
    without, bias = map(jnp.asarray, layer.apply(variables, x, method="without_bias"))
    np.testing.assert_array_equal(bias, variables["params"]["bias"])
    np.testing.assert_allclose(without + bias, out, atol=1e-6)
    assert jnp.abs(bias).min() > 1e-3


def test_bfloat16_has_float32_parameters() -> None:
    layer = Conv2d(4, dtype=jnp.bfloat16)
    out, variables = layer.init_with_output(jax.random.key(0), jnp.ones((1, 8, 8, 2)))
    assert out.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


# Outputs are arrays, for any function and under every transformation of JAX.


def check_everywhere(function: Callable, definition: Callable, params: dict, x: jax.Array) -> None:
    """Compare values and gradients under jit, with vmap or checkpoint, and the values outside of jit."""

    def values_and_gradients(f: Callable) -> Callable:
        def loss(params: dict, x: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
            out = f(params, x)
            assert all(isinstance(array, jax.Array) for array in out)
            return sum(jnp.sin(array).sum() for array in out), out  # type: ignore[return-value]

        return jax.grad(loss, (0, 1), has_aux=True)

    def image_by_image(params: dict, x: jax.Array) -> list[jax.Array]:
        return jax.vmap(lambda one: [out[0] for out in function(params, one[None])])(x)

    @jax.jit
    def compute(*args: Any) -> list[Any]:
        functions = (definition, jax.checkpoint(function), image_by_image)
        return [values_and_gradients(f)(*args) for f in functions]

    expected, *found = compute(params, x)
    for one in (*found, (expected[0], function(params, x))):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), one, expected)


def use(out: jax.Array) -> list[jax.Array]:
    """Apply functions of Flax and JAX to the output of a layer."""
    return [nn.relu(out), jax.nn.softmax(out), out + out]


@pytest.mark.parametrize("channels", [1, 3, 4, 5])
def test_a_convolution_composes_with_any_function(channels: int) -> None:
    def definition(params: dict, x: jax.Array) -> list[jax.Array]:
        return use(conv2d_by_shifts(x, params["kernel"], params["bias"]))

    def layer(params: dict, x: jax.Array) -> list[jax.Array]:
        out: Any = Conv2d(8).apply({"params": params}, x)
        return use(out)

    params = {"kernel": normal(1, 3, 3, channels, 8) / 6, "bias": normal(2, 8)}
    check_everywhere(layer, definition, params, normal(0, 2, 4, 6, channels))


def test_the_program_for_gpus_is_the_plain_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is traced for a GPU and runs on the CPU here."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    x, kernel, bias = normal(0, 2, 4, 6, 3), normal(1, 3, 3, 3, 8), normal(2, 8)

    def layer(x: jax.Array) -> Any:
        return Conv2d(8).apply({"params": {"kernel": kernel, "bias": bias}}, x)

    assert str(jax.make_jaxpr(layer)(x)).count("conv_general_dilated[") == 1
    np.testing.assert_allclose(layer(x), conv2d_by_shifts(x, kernel, bias), atol=1e-4)


@pytest.mark.parametrize("channels", [1, 5])
def test_gradients_are_computed_eagerly_too(channels: int) -> None:
    params = {"kernel": normal(1, 3, 3, channels, 8) / 6, "bias": normal(2, 8)}
    x = normal(0, 2, 4, 6, channels)

    def loss(params: dict) -> jax.Array:
        out: Any = Conv2d(8).apply({"params": params}, x)
        return (out * out).sum()

    def expected(params: dict) -> jax.Array:
        return jnp.square(conv2d_by_shifts(x, params["kernel"], params["bias"])).sum()

    found = jax.grad(loss)(params)
    wanted = jax.jit(jax.grad(expected))(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), found, wanted)


@pytest.mark.parametrize("join", [concatenate, lambda parts: jnp.concatenate(parts, axis=-1)])
def test_upsampled_pooled_and_concatenated_images_compose_with_any_function(join: Callable) -> None:
    def layers(params: dict, x: jax.Array) -> list[jax.Array]:
        small = max_pool(x)
        out: Any = Conv2d(3).apply({"params": params}, join([x, upsample(small)]))
        return [upsample(small) + upsample(2 * small), nn.relu(out), max_pool(out)]

    def definition(params: dict, x: jax.Array) -> list[jax.Array]:
        def pool(x: jax.Array) -> jax.Array:
            return x.reshape(-1, 2, 2, 2, 2, x.shape[-1]).max(axis=(2, 4))

        large = pool(x).repeat(2, axis=1).repeat(2, axis=2)
        out = conv2d_by_shifts(jnp.concatenate([x, large], -1), params["kernel"], params["bias"])
        return [3 * large, nn.relu(out), pool(out)]

    params = {"kernel": normal(1, 3, 3, 4, 3) / 6, "bias": normal(2, 3)}
    check_everywhere(layers, definition, params, normal(0, 2, 4, 4, 2))
