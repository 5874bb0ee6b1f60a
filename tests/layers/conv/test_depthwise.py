import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcolor.layers.conv.depthwise import Padding, convolve_by_shifts, plain_depthwise


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize("padding", [((2, 2), (2, 2)), ((1, 2), (0, 1))])
def test_shifts_are_the_grouped_convolution(size: int, stride: int, dilation: int, padding: Padding) -> None:
    x = jax.random.normal(jax.random.key(0), (2, 11, 12, 3))
    kernel = jax.random.normal(jax.random.key(1), (size, size, 1, 3))

    def loss(x: jax.Array, kernel: jax.Array, convolution: object) -> jax.Array:
        return jnp.sum(jnp.sin(convolution(x, kernel, stride, padding, dilation)))  # type: ignore[operator]

    for a, b in zip(
        jax.value_and_grad(loss, (0, 1))(x, kernel, convolve_by_shifts),
        jax.value_and_grad(loss, (0, 1))(x, kernel, plain_depthwise),
        strict=True,
    ):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4, rtol=1e-5), a, b)
