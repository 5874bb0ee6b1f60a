from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxcolor.layers.conv_norm import ConvNorm, identity


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("padding", ["torch", "same"])
def test_a_folded_norm_equals_convolution_then_norm(depthwise: bool, padding: str) -> None:
    features = 3 if depthwise else 5
    layer = ConvNorm(features, 3, 2, depthwise=depthwise, padding=padding, activation=identity, epsilon=1e-3)  # type: ignore[arg-type]
    x = jax.random.normal(jax.random.key(0), (2, 8, 9, 3))
    variables = layer.init(jax.random.key(1), x)
    keys = jax.random.split(jax.random.key(2), 4)
    norm = {
        "scale": jax.random.normal(keys[0], (features,)),
        "bias": jax.random.normal(keys[1], (features,)),
    }
    stats = {
        "mean": jax.random.normal(keys[2], (features,)),
        "variance": jax.random.uniform(keys[3], (features,)),
    }
    variables = {
        "params": {"kernel": variables["params"]["kernel"], "norm": norm},
        "batch_stats": {"norm": stats},
    }
    pad = [(1, 1)] * 2 if padding == "torch" else "SAME"
    conv = nn.Conv(features, (3, 3), (2, 2), pad, use_bias=False, feature_group_count=3 if depthwise else 1)
    out: Any = conv.apply({"params": {"kernel": variables["params"]["kernel"]}}, x)
    expected = (out - stats["mean"]) / jnp.sqrt(stats["variance"] + 1e-3) * norm["scale"] + norm["bias"]
    found: Any = layer.apply(variables, x)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_training_updates_the_running_averages_from_valid_images() -> None:
    layer = ConvNorm(4)
    x = jax.random.normal(jax.random.key(0), (3, 4, 4, 2))
    variables = layer.init(jax.random.key(1), x)
    filled = x.at[2].set(100.0)
    valid = jnp.array([1.0, 1.0, 0.0])
    out, updates = layer.apply(variables, filled, train=True, valid=valid, mutable=["batch_stats"])
    expected, same = layer.apply(variables, x[:2], train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(out[:2], expected, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), updates, same)
    assert np.any(updates["batch_stats"]["norm"]["mean"] != 0)
