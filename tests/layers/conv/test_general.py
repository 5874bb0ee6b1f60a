from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_arrays import normal

from jaxcolor.layers.conv import general, plain
from jaxcolor.layers.conv.general import convolve, convolve_by_taps, convolve_depthwise, share_inside
from jaxcolor.layers.conv.plain import Padding
from jaxcolor.training import compilation


def check_equal(fast: Callable, definition: Callable, x: jax.Array, kernel: jax.Array) -> None:
    """Compare values, and gradients for image and kernel."""

    def compute(x: jax.Array, kernel: jax.Array) -> list[Any]:
        def loss(x: jax.Array, kernel: jax.Array, convolution: Callable) -> Any:
            out = convolution(x, kernel)
            weights = jnp.arange(out.size).reshape(out.shape).astype(jnp.float32) / out.size
            return jnp.sum(jnp.sin(out) * weights), out

        return [jax.grad(loss, (0, 1), has_aux=True)(x, kernel, f) for f in (fast, definition)]

    found, expected = compilation.jit(compute)(x, kernel)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4, rtol=1e-5), found, expected)


@pytest.mark.parametrize("dilation", [1, 2, 3, 5, 6, 12])
@pytest.mark.parametrize("size", [(6, 5), (1, 7)])
def test_tap_by_tap_equals_the_convolution(dilation: int, size: tuple[int, int]) -> None:
    check_equal(
        lambda x, kernel: convolve_by_taps(x, kernel, dilation),
        lambda x, kernel: plain.convolve(x, kernel, 1, ((dilation, dilation),) * 2, dilation),
        normal(0, 2, *size, 3),
        normal(1, 3, 3, 3, 4),
    )


def test_share_of_taps_inside_of_the_image() -> None:
    assert share_inside(3, 24, (1, 28, 28, 1)) == pytest.approx(((28 + 2 * 4) / (3 * 28)) ** 2)
    assert share_inside(3, 1, (1, 100, 100, 1)) == pytest.approx((298 / 300) ** 2)
    assert share_inside(3, 40, (1, 28, 28, 1)) == pytest.approx(1 / 9)


@pytest.mark.parametrize(
    ("stride", "reach", "dilation", "by_taps"),
    [
        (1, 4, 4, True),  # 13 of the 21 taps of a row are inside, so (13/21)² = 38 % of all
        (1, 3, 3, False),  # 15 of 21, so 51 % of all
        (2, 4, 4, False),
        (1, 3, 4, False),
    ],
)
def test_mostly_padding_is_computed_tap_by_tap(
    stride: int, reach: int, dilation: int, by_taps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the convolution keeps the size of the image."""
    x, kernel = normal(0, 1, 7, 7, 2), normal(1, 3, 3, 2, 2)
    padding = ((reach, reach), (reach, reach))
    calls: list[int] = []

    def record(x: jax.Array, kernel: jax.Array, dilation: int) -> jax.Array:
        calls.append(dilation)
        return convolve_by_taps(x, kernel, dilation)

    monkeypatch.setattr(general, "convolve_by_taps", record)
    out = convolve(x, kernel, stride, padding, dilation)
    assert calls == ([dilation] if by_taps else [])
    expected = plain.convolve(x, kernel, stride, padding, dilation)
    np.testing.assert_allclose(out, expected, atol=1e-5)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    calls.clear()
    np.testing.assert_allclose(convolve(x, kernel, stride, padding, dilation), expected, atol=1e-5)
    assert not calls


@pytest.mark.parametrize(
    ("size", "stride", "dilation"), [(3, 1, 1), (5, 2, 1), (3, 1, 2), (5, 1, 2), (3, 2, 1)]
)
@pytest.mark.parametrize("padding", [((2, 2), (2, 2)), ((1, 2), (0, 1))])
def test_a_depthwise_convolution_equals_the_grouped_one(
    size: int, stride: int, dilation: int, padding: Padding
) -> None:
    check_equal(
        lambda x, kernel: convolve_depthwise(x, kernel, stride, padding, dilation),
        lambda x, kernel: plain.convolve(x, kernel, stride, padding, dilation, groups=3),
        normal(0, 2, 11, 12, 3),
        normal(1, size, size, 1, 3),
    )


@pytest.mark.shipped
def test_both_equal_the_plain_ones_with_the_options_of_users() -> None:
    def fast(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return convolve_depthwise(convolve_by_taps(x, kernel, 2), kernel[:, :, :1], 1, ((2, 2), (2, 2)), 2)

    def definition(x: jax.Array, kernel: jax.Array) -> jax.Array:
        out = plain.convolve(x, kernel, 1, ((2, 2), (2, 2)), 2)
        return plain.convolve(out, kernel[:, :, :1], 1, ((2, 2), (2, 2)), 2, groups=4)

    check_equal(fast, definition, normal(0, 2, 5, 6, 4), normal(1, 3, 3, 4, 4) / 6)


def test_depthwise_on_a_gpu_is_one_grouped_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    x, kernel = jnp.ones((1, 5, 5, 3)), jnp.ones((3, 3, 1, 3))
    program = str(jax.make_jaxpr(lambda x: convolve_depthwise(x, kernel, 1, ((1, 1), (1, 1)), 1))(x))
    assert program.count("conv_general_dilated[") == 1
    assert "feature_group_count=3" in program
