from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcolor.layers.norm import BatchNorm
from jaxcolor.layers.resize import upsample


def test_running_statistics_on_hand_computed_values() -> None:
    # One channel, values 1, 2, 3, 6: mean 3, biased variance 3.5, unbiased 14/3.
    x = jnp.asarray([1.0, 2.0, 3.0, 6.0]).reshape(2, 2, 1, 1)
    layer = BatchNorm()
    variables: Any = layer.init(jax.random.key(0), x, train=False)
    out, updates = layer.apply(variables, x, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(updates["batch_stats"]["mean"], [0.9 * 0 + 0.1 * 3], rtol=1e-6)
    np.testing.assert_allclose(updates["batch_stats"]["variance"], [0.9 * 1 + 0.1 * 14 / 3], rtol=1e-6)
    np.testing.assert_allclose(out.ravel(), (np.array([1, 2, 3, 6]) - 3) / np.sqrt(3.5 + 1e-5), rtol=1e-6)

    _, updates = layer.apply(variables | updates, x, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(updates["batch_stats"]["mean"], [0.9 * 0.3 + 0.1 * 3], rtol=1e-6)


def test_evaluation_uses_running_statistics() -> None:
    x = jnp.asarray([1.0, 5.0]).reshape(1, 2, 1, 1)
    variables = {
        "params": {"scale": jnp.asarray([2.0]), "bias": jnp.asarray([10.0])},
        "batch_stats": {"mean": jnp.asarray([1.0]), "variance": jnp.asarray([4.0 - 1e-5])},
    }
    out: Any = BatchNorm().apply(variables, x, train=False)
    np.testing.assert_allclose(out.ravel(), [10, 14], rtol=1e-6)


def test_padding_does_not_change_the_statistics() -> None:
    x = jax.random.normal(jax.random.key(0), (5, 4, 4, 3))
    padded = jnp.concatenate([x, jnp.full((3, 4, 4, 3), 1e3)])
    valid = jnp.asarray([1.0] * 5 + [0.0] * 3)
    layer = BatchNorm()
    variables: Any = layer.init(jax.random.key(0), x, train=False)
    plain, plain_updates = layer.apply(variables, x, train=True, mutable=["batch_stats"])
    found, found_updates = layer.apply(variables, padded, train=True, valid=valid, mutable=["batch_stats"])
    np.testing.assert_allclose(found[:5], plain, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found_updates, plain_updates)


def test_large_offsets_keep_their_variance() -> None:
    x = 1000 + jax.random.normal(jax.random.key(0), (8, 8, 8, 1))
    layer = BatchNorm()
    variables: Any = layer.init(jax.random.key(0), x, train=False)
    out, _ = layer.apply(variables, x, train=True, mutable=["batch_stats"])
    assert float(out.std()) == pytest.approx(1, abs=1e-3)


def test_initialization_leaves_the_running_statistics() -> None:
    variables = BatchNorm().init(jax.random.key(0), jnp.ones((2, 2, 2, 3)), train=True)
    np.testing.assert_array_equal(variables["batch_stats"]["mean"], np.zeros(3))
    np.testing.assert_array_equal(variables["batch_stats"]["variance"], np.ones(3))


def test_bfloat16_keeps_float32_statistics() -> None:
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 3)).astype(jnp.bfloat16)
    layer = BatchNorm()
    variables: Any = layer.init(jax.random.key(0), x, train=False)
    out, updates = layer.apply(variables, x, train=True, mutable=["batch_stats"])
    assert out.dtype == jnp.bfloat16
    assert updates["batch_stats"]["mean"].dtype == jnp.float32


def test_repeats_count_as_upsampled_pixels() -> None:
    x = jax.random.normal(jax.random.key(0), (3, 4, 2, 5))
    variables = BatchNorm().init(jax.random.key(0), x, train=False)
    few, few_updates = BatchNorm(repeats=4).apply(variables, x, train=True, mutable=["batch_stats"])
    many, many_updates = BatchNorm().apply(variables, upsample(x), train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(upsample(few), many, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), few_updates, many_updates)


def test_a_missing_bias_has_the_effect_of_an_added_one() -> None:
    """Output, statistics and gradients are equal. The bias itself has no gradient."""
    x = 3 + jax.random.normal(jax.random.key(0), (3, 4, 2, 5))
    bias = jnp.arange(5.0)
    layer = BatchNorm()
    variables: Any = layer.init(jax.random.key(0), x, train=False)
    variables["batch_stats"]["mean"] = jnp.linspace(-1, 1, 5)
    for train in (True, False):
        for options in ({"train": train}, {"train": train, "valid": jnp.asarray([1.0, 1.0, 0.0])}):
            apart, stats = layer.apply(variables, x, missing_bias=bias, mutable=["batch_stats"], **options)
            added, added_stats = layer.apply(variables, x + bias, mutable=["batch_stats"], **options)
            np.testing.assert_allclose(apart, added, atol=1e-5)
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), stats, added_stats)

    def loss(bias: jax.Array) -> jax.Array:
        out, _ = layer.apply(variables, x, missing_bias=bias, train=True, mutable=["batch_stats"])
        return jnp.square(out - 1).sum()

    np.testing.assert_array_equal(jax.grad(loss)(bias), np.zeros(5))
