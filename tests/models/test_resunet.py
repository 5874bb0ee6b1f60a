from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from plain_networks import check_train_step
from random_arrays import uniform

from jaxcolor.layers.conv.plain import conv2d
from jaxcolor.models import ResUNet


def plain_resunet(
    variables: dict[str, Any], x: jax.Array, *, train: bool
) -> tuple[jax.Array, dict[str, Any]]:
    """The residual UNet in its plain definition: logits and running averages."""
    params, running = variables["params"], variables["batch_stats"]
    stats: dict[str, Any] = {}

    def norm(block: str, name: str, x: jax.Array) -> jax.Array:
        averages = running[block][name]
        mean, variance = averages["mean"], averages["variance"]
        if train:
            mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
            count = x.size // x.shape[-1]
            of_batch = {"mean": mean, "variance": variance * count / (count - 1)}
            averages = jax.tree.map(lambda old, new: 0.9 * old + 0.1 * new, averages, of_batch)
        stats.setdefault(block, {})[name] = averages
        scaled = (x - mean) / jnp.sqrt(variance + 1e-5) * params[block][name]["scale"]
        return scaled + params[block][name]["bias"]

    def residual(block: str, x: jax.Array) -> jax.Array:
        y = jax.nn.relu(norm(block, "norm1", conv2d(x, **params[block]["conv1"])))
        y = norm(block, "norm2", conv2d(y, **params[block]["conv2"]))
        return jax.nn.relu(y + conv2d(x, **params[block]["shortcut"]))

    def pool(x: jax.Array) -> jax.Array:
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    def up(x: jax.Array) -> jax.Array:
        return x.repeat(2, axis=1).repeat(2, axis=2)

    down1 = residual("down1", x)
    down2 = residual("down2", pool(down1))
    down3 = residual("down3", pool(down2))
    x = residual("bottom", pool(down3))
    for name, skip in (("up3", down3), ("up2", down2), ("up1", down1)):
        x = residual(name, jnp.concatenate([skip, up(x)], -1))
    return conv2d(x, **params["logits"]), stats


@pytest.mark.shipped
def test_a_train_step_equals_the_plain_definition() -> None:
    check_train_step(ResUNet(2, 5), plain_resunet, width=16)


def test_logits_start_at_0_and_have_the_size_of_the_images() -> None:
    initialize = jax.jit(ResUNet(2, 7).init_with_output)
    logits, variables = initialize(jax.random.key(0), uniform(0, 2, 16, 24, 3))
    np.testing.assert_array_equal(logits, np.zeros((2, 16, 24, 7)))
    assert variables["params"]["bottom"]["conv2"]["kernel"].shape == (3, 3, 16, 16)
    with pytest.raises(ValueError, match="images of 12×32 pixels: both sides must divide by 8"):
        ResUNet(2, 7).init(jax.random.key(0), jnp.zeros((1, 12, 32, 1)))
