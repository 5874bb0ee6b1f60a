from typing import Any

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
from random_arrays import normal

from jaxcolor.layers.norm import BatchNorm
from jaxcolor.layers.resize import upsample

# One channel: mean 3, biased variance 3.5, unbiased 14/3.
VALUES = jnp.asarray([1.0, 2.0, 3.0, 6.0]).reshape(2, 2, 1, 1)


def initial(channels: int = 1) -> dict[str, Any]:
    """Return the variables of a new layer."""
    return {
        "params": {"scale": jnp.ones(channels), "bias": jnp.zeros(channels)},
        "batch_stats": {"mean": jnp.zeros(channels), "variance": jnp.ones(channels)},
    }


def normalize(layer: BatchNorm, variables: dict, x: jax.Array, **options: Any) -> tuple[Any, Any]:
    """Return the output of the layer, and its running averages afterwards."""
    out, updates = layer.apply(variables, x, **{"train": True, **options}, mutable=["batch_stats"])
    return out, updates["batch_stats"]


@pytest.mark.parametrize("train", [True, False])
def test_a_new_layer_has_mean_0_and_variance_1(train: bool) -> None:
    variables = BatchNorm().init(jax.random.key(0), jnp.full((2, 2, 2, 3), 5.0), train=train)
    jax.tree.map(np.testing.assert_array_equal, dict(variables), initial(3))


def test_training_on_hand_computed_values() -> None:
    out, stats = normalize(BatchNorm(), initial(), VALUES)
    np.testing.assert_allclose(out.ravel(), (np.array([1, 2, 3, 6]) - 3) / np.sqrt(3.5 + 1e-5), rtol=1e-6)
    np.testing.assert_allclose(stats["mean"], [0.9 * 0 + 0.1 * 3], rtol=1e-6)
    np.testing.assert_allclose(stats["variance"], [0.9 * 1 + 0.1 * 14 / 3], rtol=1e-6)

    _, stats = normalize(BatchNorm(), initial() | {"batch_stats": stats}, VALUES)
    np.testing.assert_allclose(stats["mean"], [0.9 * 0.3 + 0.1 * 3], rtol=1e-6)
    np.testing.assert_allclose(stats["variance"], [0.9 * (0.9 + 1.4 / 3) + 0.1 * 14 / 3], rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "mean", "variance"),
    [
        ({"repeats": 4}, 3, 3.5 * 16 / 15),
        ({"valid": [1.0, 0.0]}, 1.5, 0.5),  # the first image alone, with values 1 and 2
        ({"repeats": 4, "valid": [0.0, 1.0]}, 4.5, 2.25 * 8 / 7),
        ({"missing_bias": [10.0]}, 13, 14 / 3),
    ],
)
def test_running_averages_on_hand_computed_values(options: dict, mean: float, variance: float) -> None:
    layer = BatchNorm(momentum=0, repeats=options.pop("repeats", 1))
    given = {name: jnp.asarray(value) for name, value in options.items()}
    _, stats = normalize(layer, initial(), VALUES, **given)
    np.testing.assert_allclose(stats["mean"], [mean], rtol=1e-6)
    np.testing.assert_allclose(stats["variance"], [variance], rtol=1e-6)


@pytest.mark.parametrize(("epsilon", "expected"), [(1e-5, 0.01 / 1.1e-4**0.5), (3e-4, 0.5)])
def test_epsilon_is_added_to_the_variance(epsilon: float, expected: float) -> None:
    """In training and evaluation, with variance 1e-4."""
    x = jnp.asarray([0.01, -0.01]).reshape(1, 2, 1, 1)
    variables = initial()
    variables["batch_stats"]["variance"] = jnp.asarray([1e-4])
    assert BatchNorm().epsilon == 1e-5
    for train in (True, False):
        out, _ = normalize(BatchNorm(epsilon=epsilon), variables, x, train=train)
        np.testing.assert_allclose(out.ravel(), [expected, -expected], rtol=1e-5)


def test_evaluation_uses_running_averages_scale_and_bias() -> None:
    x = jnp.asarray([1.0, 5.0]).reshape(1, 2, 1, 1)
    variables = {
        "params": {"scale": jnp.asarray([2.0]), "bias": jnp.asarray([10.0])},
        "batch_stats": {"mean": jnp.asarray([1.0]), "variance": jnp.asarray([4.0 - 1e-5])},
    }
    out, stats = normalize(BatchNorm(), variables, x, train=False)
    np.testing.assert_allclose(out.ravel(), [10, 14], rtol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, stats, variables["batch_stats"])
    multiplier, shift = BatchNorm().apply(variables, 1, method="multiplier_and_shift")
    np.testing.assert_allclose([multiplier, shift], [[1], [9]], rtol=1e-6)


def test_one_value_has_no_variance() -> None:
    """Its unbiased variance is 0, and not 0/0."""
    out, stats = normalize(BatchNorm(), initial(), jnp.full((1, 1, 1, 1), 7.0))
    assert out.item() == 0
    np.testing.assert_allclose(stats["variance"], [0.9], rtol=1e-6)


def test_padding_does_not_change_the_statistics() -> None:
    x = normal(0, 5, 4, 4, 3)
    padded = jnp.concatenate([x, jnp.full((3, 4, 4, 3), 1e3)])
    valid = jnp.asarray([1.0] * 5 + [0.0] * 3)
    out, stats = normalize(BatchNorm(), initial(3), x)
    padded_out, padded_stats = normalize(BatchNorm(), initial(3), padded, valid=valid)
    np.testing.assert_allclose(padded_out[:5], out, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), padded_stats, stats)


def test_large_offsets_keep_their_variance() -> None:
    out, _ = normalize(BatchNorm(), initial(), 1000 + normal(0, 8, 8, 8, 1))
    assert float(out.std()) == pytest.approx(1, abs=1e-3)


def test_bfloat16_keeps_float32_statistics() -> None:
    out, stats = normalize(BatchNorm(), initial(3), normal(0, 2, 4, 4, 3).astype(jnp.bfloat16))
    assert out.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(stats)} == {jnp.dtype("float32")}


def test_repeats_count_as_upsampled_pixels() -> None:
    x = normal(0, 3, 4, 2, 5)
    few, few_stats = normalize(BatchNorm(repeats=4), initial(5), x)
    many, many_stats = normalize(BatchNorm(), initial(5), upsample(x))
    np.testing.assert_allclose(upsample(few), many, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), few_stats, many_stats)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("valid", [None, jnp.asarray([1.0, 1.0, 0.0])])
def test_a_missing_bias_has_the_effect_of_an_added_one(train: bool, valid: jax.Array | None) -> None:
    x, bias = 3 + normal(0, 3, 4, 2, 5), jnp.arange(5.0)
    variables = initial(5)
    variables["batch_stats"]["mean"] = jnp.linspace(-1, 1, 5)
    apart, stats = normalize(BatchNorm(), variables, x, missing_bias=bias, train=train, valid=valid)
    added, added_stats = normalize(BatchNorm(), variables, x + bias, train=train, valid=valid)
    np.testing.assert_allclose(apart, added, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), stats, added_stats)


def test_a_missing_bias_has_no_gradient_in_training() -> None:
    def loss(bias: jax.Array) -> jax.Array:
        out, _ = normalize(BatchNorm(), initial(5), 3 + normal(0, 3, 4, 2, 5), missing_bias=bias)
        return jnp.square(out - 1).sum()

    np.testing.assert_array_equal(jax.jit(jax.grad(loss))(jnp.arange(5.0)), np.zeros(5))


def test_gradients_equal_numeric_derivatives() -> None:
    """They also pass through the mean and the variance of the batch."""
    weights = normal(1, 2, 2, 2, 3)

    def loss(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
        variables = initial(3) | {"params": {"scale": scale, "bias": bias}}
        return (normalize(BatchNorm(epsilon=0.1), variables, x)[0] * weights).sum()

    args = (normal(0, 2, 2, 2, 3), jnp.asarray([1.0, 2.0, 0.5]), jnp.ones(3))
    jax.test_util.check_grads(jax.jit(loss), args, order=1, modes=["rev"], atol=2e-2, rtol=2e-2)
