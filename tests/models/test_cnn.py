from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcolor.layers.conv import plain
from jaxcolor.models.cnn import Block


@pytest.mark.parametrize("resize", ["halve", "keep", "double"])
def test_a_block_is_convolution_resizing_batchnorm_and_relu(resize: Any) -> None:
    """The output and the running averages equal those in the assignment's order of the layers."""
    x = jax.random.normal(jax.random.key(0), (3, 4, 6, 2))
    block = Block(5, resize=resize)
    variables: Any = jax.jit(lambda: block.init(jax.random.key(1), x, train=False))()
    out, updates = jax.jit(lambda: block.apply(variables, x, train=True, mutable=["batch_stats"]))()

    conv = plain.conv2d(x, variables["params"]["conv"]["kernel"], variables["params"]["conv"]["bias"])
    if resize == "halve":
        conv = conv.reshape(3, 2, 2, 3, 2, 5).max(axis=(2, 4))
    if resize == "double":
        conv = conv.repeat(2, axis=1).repeat(2, axis=2)
    values = np.asarray(conv, np.float64).reshape(-1, 5)
    expected = (conv - values.mean(0)) / np.sqrt(values.var(0) + 1e-5)
    np.testing.assert_allclose(out, jnp.maximum(expected, 0), atol=1e-5)
    running = updates["batch_stats"]["norm"]
    np.testing.assert_allclose(running["mean"], 0.1 * values.mean(0), atol=1e-6)
    np.testing.assert_allclose(running["variance"], 0.9 + 0.1 * values.var(0, ddof=1), rtol=1e-5)
