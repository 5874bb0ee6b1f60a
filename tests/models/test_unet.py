import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxcolor.layers import write_out
from jaxcolor.models.unet import CNN, DilatedUNet, UNet

SIZES = [(1, 2, 3, 1), (3, 32, 24, 1), (3, 32, 24, 3), (5, 8, 10, 1), (7, 4, 16, 3)]


def count(model: nn.Module, channels: int) -> int:
    shapes = jax.eval_shape(
        lambda: model.init(jax.random.key(0), jnp.zeros((1, 8, 8, channels)), train=False)
    )
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


@pytest.mark.parametrize(("k", "nf", "nc", "nic"), SIZES)
def test_cnn_has_the_published_number_of_parameters(k: int, nf: int, nc: int, nic: int) -> None:
    # SPEC's closed formula for one input channel, with NF·NIC for its NF·1. Biases, scale and shift
    # come to 18 NF + 4 NC.
    expected = k**2 * (nc**2 + nc * nf + 8 * nf**2 + nf * nic) + 4 * nc + 18 * nf
    assert count(CNN(nf, nc, k), nic) == expected


@pytest.mark.parametrize("model", [UNet, DilatedUNet])
@pytest.mark.parametrize(("k", "nf", "nc", "nic"), SIZES)
def test_unets_have_the_weights_of_wider_inputs_besides(
    model: type[UNet], k: int, nf: int, nc: int, nic: int
) -> None:
    cnn = k**2 * (nc**2 + nc * nf + 8 * nf**2 + nf * nic) + 4 * nc + 18 * nf
    # Layer 4 also sees 2 NF channels, layer 5 NF and the last one NIC.
    skips = k**2 * (2 * nf * nf + nf * nc + nic * nc)
    assert count(model(nf, nc, k), nic) == cnn + skips


@pytest.mark.parametrize("model", [CNN(4, 5), UNet(4, 5), DilatedUNet(4, 5), UNet(4, 5, kernel_size=5)])
@pytest.mark.parametrize(("height", "width", "channels"), [(8, 12, 1), (4, 4, 3), (36, 8, 1)])
def test_output_has_the_size_of_the_input(model: nn.Module, height: int, width: int, channels: int) -> None:
    x = jnp.zeros((2, height, width, channels))
    out, _ = jax.jit(model.init_with_output, static_argnames="train")(jax.random.key(0), x, train=False)
    assert write_out(out).shape == (2, height, width, 5)


@pytest.mark.parametrize("model", [CNN(), UNet(), DilatedUNet()])
@pytest.mark.parametrize("shape", [(30, 32), (32, 34), (7, 7)])
def test_sides_that_do_not_divide_by_4_are_refused(model: nn.Module, shape: tuple[int, int]) -> None:
    with pytest.raises(
        ValueError, match=f"images of {shape[0]}×{shape[1]} pixels: both sides must divide by 4"
    ):
        model.init(jax.random.key(0), jnp.zeros((1, *shape, 1)), train=False)


def test_blocks_follow_the_assignments_order() -> None:
    """Layer by layer, the UNet is what SPEC's table says, computed here with plain JAX."""
    x = jax.random.uniform(jax.random.key(1), (3, 8, 8, 1))
    model = UNet(filters=2, colors=3)
    variables = model.init(jax.random.key(0), x, train=False)
    params = variables["params"]

    def conv(parameters: dict, x: jax.Array) -> jax.Array:
        out = jax.lax.conv_general_dilated(
            x, parameters["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return out + parameters["bias"]

    def norm(x: jax.Array) -> jax.Array:
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        return jax.nn.relu((x - mean) / jnp.sqrt(variance + 1e-5))

    def pool(x: jax.Array) -> jax.Array:
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    def up(x: jax.Array) -> jax.Array:
        return jnp.kron(x, jnp.ones((1, 2, 2, 1)))

    def cat(*parts: jax.Array) -> jax.Array:
        return jnp.concatenate(parts, -1)

    out1 = norm(pool(conv(params["layer1"]["conv"], x)))
    out2 = norm(pool(conv(params["layer2"]["conv"], out1)))
    out3 = norm(conv(params["layer3"]["conv"], out2))
    out4 = norm(up(conv(params["layer4"]["conv"], cat(out2, out3))))
    out5 = norm(up(conv(params["layer5"]["conv"], cat(out1, out4))))
    expected = conv(params["layer6"], cat(x, out5))

    out, _ = model.apply(variables, x, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(write_out(out), expected, atol=2e-5)


def test_dilation_is_that_of_layer_3() -> None:
    x = jax.random.uniform(jax.random.key(1), (2, 16, 16, 1))
    variables = UNet(4, 5).init(jax.random.key(0), x, train=False)

    def layer3(model: nn.Module) -> jax.Array:
        _, captured = model.apply(
            variables, x, train=False, capture_intermediates=True, mutable=["intermediates"]
        )
        return captured["intermediates"]["layer3"]["__call__"][0]

    kernel, bias = (variables["params"]["layer3"]["conv"][name] for name in ("kernel", "bias"))
    _, captured = UNet(4, 5).apply(
        variables, x, train=False, capture_intermediates=True, mutable=["intermediates"]
    )
    out2 = captured["intermediates"]["layer2"]["__call__"][0]
    expected = jax.lax.conv_general_dilated(
        out2,
        kernel,
        (1, 1),
        [(2, 2), (2, 2)],
        rhs_dilation=(2, 2),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    # BatchNorm with its first running averages, 0 and 1, only divides by the root of 1 + 1e-5.
    expected = jax.nn.relu((expected + bias) / jnp.sqrt(1 + 1e-5))
    np.testing.assert_allclose(layer3(DilatedUNet(4, 5)), expected, atol=1e-5)
    assert jnp.abs(layer3(DilatedUNet(4, 5)) - layer3(UNet(4, 5))).max() > 0.01
    np.testing.assert_array_equal(layer3(DilatedUNet(4, 5, dilation=1)), layer3(UNet(4, 5)))


def test_bfloat16_stays_near_float32() -> None:
    x = jax.random.uniform(jax.random.key(1), (4, 16, 16, 1))
    variables = UNet(8, 5).init(jax.random.key(0), x, train=False)
    full, _ = UNet(8, 5).apply(variables, x, train=True, mutable=["batch_stats"])
    half, updates = UNet(8, 5, dtype=jnp.bfloat16).apply(variables, x, train=True, mutable=["batch_stats"])
    full, half = write_out(full), write_out(half)
    assert half.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(updates)} == {jnp.dtype("float32")}
    difference = jnp.abs(half.astype(jnp.float32) - full).max() / jnp.abs(full).max()
    assert 0 < difference < 0.1
