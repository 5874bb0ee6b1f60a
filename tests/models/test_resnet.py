from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcolor.models.resnet import BasicBlock, Bottleneck, ResNet, max_pool


def random_variables(model: ResNet, x: jax.Array) -> Any:
    """Return random variables, which are quicker drawn by NumPy than compiled by JAX."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), x, train=False))

    def draw(leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        *inputs, _ = leaf.shape
        drawn = (
            rng.normal(0, np.prod(inputs) ** -0.5, leaf.shape)
            if inputs
            else rng.uniform(0.5, 1.5, leaf.shape)
        )
        return drawn.astype(np.float32)

    return jax.tree.map(draw, shapes)


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_dilated_stages_compute_more_positions_and_the_same_numbers(block: Any) -> None:
    x = jax.random.normal(jax.random.key(0), (1, 33, 48, 3))
    strided, dilated = (ResNet((1, 1, 2, 2), stride, block=block) for stride in (32, 8))
    variables = random_variables(strided, x)
    run = jax.jit(partial(ResNet.apply, train=False), static_argnums=0)
    for step, few, many in zip(
        (1, 1, 2, 4), run(strided, variables, x), run(dilated, variables, x), strict=True
    ):
        assert step == 1 or many.shape[1:3] == (5, 6)
        np.testing.assert_allclose(many[:, ::step, ::step], few, atol=1e-5 * np.abs(few).max())


@pytest.mark.parametrize("size", [(8, 8), (7, 10), (5, 1)])
def test_max_pool_equals_the_windowed_maximum(size: tuple[int, int]) -> None:
    x = jax.random.normal(jax.random.key(0), (2, *size, 3))
    expected = jax.lax.reduce_window(
        x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (1, 1), (0, 0))
    )
    np.testing.assert_array_equal(max_pool(x), expected)
