from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcolor.layers.conv.general import (
    convolve,
    convolve_by_taps,
    convolve_depthwise,
    depthwise_by_shifts,
    share_inside,
)
from jaxcolor.layers.conv.plain import Padding
from jaxcolor.layers.conv.plain import convolve as plain_convolve


def plain(x: jax.Array, kernel: jax.Array, dilation: int) -> jax.Array:
    reach = dilation * (kernel.shape[0] // 2)
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), ((reach, reach),) * 2, rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"), precision=jax.lax.Precision.HIGHEST,
    )  # fmt: skip


@pytest.mark.parametrize("dilation", [1, 2, 3, 5, 6, 12])
@pytest.mark.parametrize("size", [(6, 5), (1, 7)])
def test_tap_by_tap_equals_the_convolution(dilation: int, size: tuple[int, int]) -> None:
    x = jax.random.normal(jax.random.key(0), (2, *size, 3))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 3, 4))

    def loss(convolution: object) -> object:
        return lambda x, kernel: jnp.sum(jnp.sin(convolution(x, kernel, dilation)))  # type: ignore[operator]

    np.testing.assert_allclose(convolve_by_taps(x, kernel, dilation), plain(x, kernel, dilation), atol=1e-5)
    ours, expected = (jax.grad(loss(c), (0, 1))(x, kernel) for c in (convolve_by_taps, plain))  # type: ignore[arg-type]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), ours, expected)


def test_share_of_taps_inside_of_the_image() -> None:
    assert share_inside(3, 24, (1, 28, 28, 1)) == pytest.approx(((28 + 2 * 4) / (3 * 28)) ** 2)
    assert share_inside(3, 1, (1, 100, 100, 1)) == pytest.approx((298 / 300) ** 2)
    assert share_inside(3, 40, (1, 28, 28, 1)) == pytest.approx(1 / 9)


def test_strides_and_other_paddings_use_xla() -> None:
    x = jax.random.normal(jax.random.key(0), (1, 7, 7, 2))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 2, 2))
    assert convolve(x, kernel, 2, ((1, 1), (1, 1)), 1).shape == (1, 4, 4, 2)
    assert convolve(x, kernel, 1, ((0, 0), (0, 0)), 2).shape == (1, 3, 3, 2)
    same = convolve(x, kernel, 1, ((6, 6), (6, 6)), 6)
    np.testing.assert_allclose(same, plain(x, kernel, 6), atol=1e-5)


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize("padding", [((2, 2), (2, 2)), ((1, 2), (0, 1))])
def test_a_depthwise_convolution_equals_the_grouped_one(
    size: int, stride: int, dilation: int, padding: Padding
) -> None:
    x = jax.random.normal(jax.random.key(0), (2, 11, 12, 3))
    kernel = jax.random.normal(jax.random.key(1), (size, size, 1, 3))

    grouped = partial(plain_convolve, groups=3)

    def loss(x: jax.Array, kernel: jax.Array, convolution: object) -> jax.Array:
        return jnp.sum(jnp.sin(convolution(x, kernel, stride, padding, dilation)))  # type: ignore[operator]

    for a, b in zip(
        jax.value_and_grad(loss, (0, 1))(x, kernel, depthwise_by_shifts),
        jax.value_and_grad(loss, (0, 1))(x, kernel, grouped),
        strict=True,
    ):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4, rtol=1e-5), a, b)


def test_depthwise_on_a_gpu_is_one_grouped_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    x, kernel = jnp.ones((1, 5, 5, 3)), jnp.ones((3, 3, 1, 3))
    program = str(jax.make_jaxpr(lambda x: convolve_depthwise(x, kernel, 1, ((1, 1), (1, 1)), 1))(x))
    assert program.count("conv_general_dilated[") == 1
    assert "feature_group_count=3" in program
