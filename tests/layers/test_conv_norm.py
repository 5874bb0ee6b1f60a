from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from random_arrays import normal, uniform

from jaxcolor.layers.conv_norm import ConvNorm, SeparableConvNorm, identity


def make_variables(kernel: jax.Array, channels: int) -> dict[str, Any]:
    norm = {"scale": normal(2, channels), "bias": normal(3, channels)}
    stats = {"mean": normal(4, channels), "variance": 0.1 + uniform(5, channels)}
    return {"params": {"kernel": kernel, "norm": norm}, "batch_stats": {"norm": stats}}


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("padding", ["torch", "same"])
@pytest.mark.parametrize("train", [False, True])
def test_a_block_is_convolution_then_norm_then_activation(
    depthwise: bool, padding: Literal["torch", "same"], train: bool
) -> None:
    channels = 3 if depthwise else 5
    layer = ConvNorm(channels, 3, 2, depthwise=depthwise, padding=padding, epsilon=1e-3, activation=nn.relu6)
    x = normal(0, 2, 8, 9, 3)
    variables = make_variables(normal(1, 3, 3, 1 if depthwise else 3, channels), channels)
    found: Any = layer.apply(variables, x, train=train, mutable=["batch_stats"])

    pad: Any = "SAME" if padding == "same" else [(1, 1)] * 2
    conv = nn.Conv(channels, (3, 3), (2, 2), pad, use_bias=False, feature_group_count=3 if depthwise else 1)
    out: Any = conv.apply({"params": {"kernel": variables["params"]["kernel"]}}, x)
    norm, stats = variables["params"]["norm"], variables["batch_stats"]["norm"]
    mean, variance = (
        (out.mean((0, 1, 2)), out.var((0, 1, 2))) if train else (stats["mean"], stats["variance"])
    )
    out = (out - mean) / jnp.sqrt(variance + 1e-3) * norm["scale"] + norm["bias"]
    np.testing.assert_allclose(found[0], jnp.clip(out, 0, 6), atol=1e-4)
    same = jax.tree.map(lambda a, b: bool((a == b).all()), found[1]["batch_stats"]["norm"], stats)
    assert same == {"mean": not train, "variance": not train}


@pytest.mark.parametrize("train", [False, True])
def test_a_separable_block_is_two_convolutions_with_norms_and_relus(train: bool) -> None:
    layer = SeparableConvNorm(5, 3, dilation=2)
    x = normal(0, 2, 8, 9, 3)
    steps = {
        "depthwise": make_variables(normal(1, 3, 3, 1, 3), 3),
        "pointwise": make_variables(normal(6, 1, 1, 3, 5), 5),
    }
    variables = {
        kind: {name: step[kind] for name, step in steps.items()} for kind in ("params", "batch_stats")
    }
    found: Any = layer.apply(variables, x, train=train, mutable=["batch_stats"])

    depthwise = nn.Conv(3, (3, 3), kernel_dilation=2, padding=2, use_bias=False, feature_group_count=3)
    pointwise = nn.Conv(5, (1, 1), use_bias=False)
    out: Any = x
    for conv, step in zip((depthwise, pointwise), steps.values(), strict=True):
        norm, stats = step["params"]["norm"], step["batch_stats"]["norm"]
        out = conv.apply({"params": {"kernel": step["params"]["kernel"]}}, out)
        mean, variance = (
            (out.mean((0, 1, 2)), out.var((0, 1, 2))) if train else (stats["mean"], stats["variance"])
        )
        out = nn.relu((out - mean) / jnp.sqrt(variance + 1e-5) * norm["scale"] + norm["bias"])
    np.testing.assert_allclose(found[0], out, atol=1e-4)


@pytest.mark.parametrize(
    ("kernel_size", "stride", "dilation", "length", "torch", "same"),
    [
        (1, 1, 1, 8, (0, 0), (0, 0)),
        (3, 1, 1, 8, (1, 1), (1, 1)),
        (3, 2, 1, 8, (1, 1), (0, 1)),
        (3, 2, 1, 9, (1, 1), (1, 1)),
        (5, 2, 1, 8, (2, 2), (1, 2)),
        (5, 2, 1, 9, (2, 2), (2, 2)),
        (3, 1, 2, 8, (2, 2), (2, 2)),
        (5, 1, 4, 8, (8, 8), (8, 8)),
        (1, 2, 1, 8, (0, 0), (0, 0)),  # the windows end before the image does
    ],
)
def test_padding_on_hand_computed_values(
    kernel_size: int, stride: int, dilation: int, length: int, torch: tuple, same: tuple
) -> None:
    """TensorFlow's "same" pads as little as ⌈length / stride⌉ outputs need, more of it at the end."""
    layer = ConvNorm(1, kernel_size, stride, dilation)
    assert layer.padding_before_and_after(length) == torch
    assert layer.clone(padding="same").padding_before_and_after(length) == same


def test_rows_and_columns_are_padded_by_their_own_lengths() -> None:
    layer = ConvNorm(1, 3, 2, padding="same", activation=identity)
    kernel = jnp.zeros((3, 3, 1, 1)).at[0, 0].set(1)  # shows the first pixel of each window
    variables: Any = {
        "params": {"kernel": kernel, "norm": {"scale": jnp.ones(1), "bias": jnp.zeros(1)}},
        "batch_stats": {"norm": {"mean": jnp.zeros(1), "variance": jnp.full(1, 1 - 1e-5)}},
    }
    x = jnp.arange(1.0, 13.0).reshape(1, 4, 3, 1)
    out: Any = layer.apply(variables, x)
    # The four rows have padding below alone; the three columns on both sides.
    np.testing.assert_allclose(out[0, :, :, 0], [[0, 2], [0, 8]], atol=1e-5)


def test_the_first_kernel_is_he_normal() -> None:
    """Its variance is 2 / fan-in, up to five standard errors."""
    variables = ConvNorm(64, 3).init(jax.random.key(0), jnp.zeros((1, 4, 4, 16)))
    kernel = variables["params"]["kernel"]
    assert kernel.shape == (3, 3, 16, 64)
    assert float(kernel.var()) == pytest.approx(2 / (9 * 16), rel=5 * (2 / kernel.size) ** 0.5)


def test_padding_images_do_not_change_the_statistics() -> None:
    layer = ConvNorm(4)
    x = normal(0, 3, 4, 4, 2)
    variables = make_variables(normal(1, 1, 1, 2, 4), 4)
    valid = jnp.array([1.0, 1.0, 0.0])
    found, updates = layer.apply(
        variables, x.at[2].set(100.0), train=True, valid=valid, mutable=["batch_stats"]
    )
    expected, same = layer.apply(variables, x[:2], train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(found[:2], expected, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), updates, same)


def test_bfloat16_has_float32_parameters_and_statistics() -> None:
    layer = ConvNorm(4, dtype=jnp.bfloat16)
    x = normal(0, 2, 4, 4, 2)
    variables = make_variables(normal(1, 1, 1, 2, 4), 4)
    for train in (True, False):
        out, updates = layer.apply(variables, x, train=train, mutable=["batch_stats"])
        assert out.dtype == jnp.bfloat16
        assert {leaf.dtype for leaf in jax.tree.leaves(updates)} == {jnp.dtype("float32")}
        expected: Any = ConvNorm(4).apply(variables, x, train=train, mutable=["batch_stats"])
        np.testing.assert_allclose(out.astype(jnp.float32), expected[0], atol=0.1)
