import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxcolor.layers.conv import plain
from jaxcolor.models import CNN, DilatedUNet, UNet
from jaxcolor.training import compilation

SIZES = [(1, 2, 3, 1), (3, 32, 24, 1), (3, 32, 24, 3), (5, 8, 10, 1), (7, 4, 16, 3)]


def count(model: nn.Module, channels: int) -> int:
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 8, 8, channels))))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


@pytest.mark.parametrize(("k", "nf", "nc", "nic"), SIZES)
def test_cnn_has_the_published_number_of_parameters(k: int, nf: int, nc: int, nic: int) -> None:
    # The published formula for one input channel, with NF·NIC for its NF. Biases, scale and shift are
    # 18 NF + 4 NC.
    expected = k**2 * (nc**2 + nc * nf + 8 * nf**2 + nf * nic) + 4 * nc + 18 * nf
    assert count(CNN(nf, nc, k), nic) == expected


@pytest.mark.parametrize("model", [UNet, DilatedUNet])
@pytest.mark.parametrize(("k", "nf", "nc", "nic"), SIZES)
def test_skip_connections_add_the_weights_of_wider_inputs(
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
    out, _ = jax.jit(model.init_with_output)(jax.random.key(0), x)
    assert out.shape == (2, height, width, 5)


@pytest.mark.parametrize("model", [CNN(), UNet(), DilatedUNet()])
@pytest.mark.parametrize("shape", [(30, 32), (32, 34), (7, 7)])
def test_sides_that_do_not_divide_by_4_are_refused(model: nn.Module, shape: tuple[int, int]) -> None:
    with pytest.raises(
        ValueError, match=f"images of {shape[0]}×{shape[1]} pixels: both sides must divide by 4"
    ):
        model.init(jax.random.key(0), jnp.zeros((1, *shape, 1)))


@jax.jit
def plain_unet(params: dict, x: jax.Array) -> jax.Array:
    """The UNet in training, layer by layer: convolution, pool or upsample, BatchNorm, ReLU."""

    def conv(parameters: dict, x: jax.Array) -> jax.Array:
        return plain.conv2d(x, parameters["kernel"], parameters["bias"])

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
    return conv(params["layer6"], cat(x, out5))


@pytest.mark.usefixtures("each_option")
def test_the_unet_is_that_of_the_assignment() -> None:
    x = jax.random.uniform(jax.random.key(1), (3, 8, 8, 1))
    model = UNet(filters=2, colors=3)
    variables = jax.jit(model.init)(jax.random.key(0), x)
    found, _ = compilation.jit(lambda: model.apply(variables, x, train=True, mutable=["batch_stats"]))()
    np.testing.assert_allclose(found, plain_unet(variables["params"], x), atol=2e-5)


def test_the_dilation_applies_to_layer_3() -> None:
    x = jax.random.uniform(jax.random.key(1), (2, 16, 16, 1))
    variables = jax.jit(UNet(4, 5).init)(jax.random.key(0), x)

    def outputs(model: nn.Module) -> dict:
        def apply(x: jax.Array) -> dict:
            options = {"capture_intermediates": True, "mutable": ["intermediates"]}
            return model.apply(variables, x, **options)[1]["intermediates"]  # type: ignore[arg-type]

        return jax.jit(apply)(x)

    def layer3(model: nn.Module) -> jax.Array:
        return outputs(model)["layer3"]["__call__"][0]

    kernel, bias = (variables["params"]["layer3"]["conv"][name] for name in ("kernel", "bias"))
    out2 = outputs(UNet(4, 5))["layer2"]["__call__"][0]
    expected = plain.conv2d(out2, kernel, bias, 2)
    # BatchNorm with its first running averages, 0 and 1, only divides by the root of 1 + 1e-5.
    expected = jax.nn.relu(expected / jnp.sqrt(1 + 1e-5))
    dilated = layer3(DilatedUNet(4, 5))
    np.testing.assert_allclose(dilated, expected, atol=1e-5)
    assert jnp.abs(dilated - layer3(UNet(4, 5))).max() > 0.01
    np.testing.assert_array_equal(layer3(DilatedUNet(4, 5, dilation=1)), layer3(UNet(4, 5)))


def test_bfloat16_stays_near_float32() -> None:
    x = jax.random.uniform(jax.random.key(1), (4, 8, 8, 1))
    variables = jax.jit(UNet(4, 5).init)(jax.random.key(0), x)

    def train(dtype: str) -> tuple[jax.Array, dict]:
        model = UNet(4, 5, dtype=jnp.dtype(dtype))
        return jax.jit(lambda: model.apply(variables, x, train=True, mutable=["batch_stats"]))()

    (full, _), (half, updates) = train("float32"), train("bfloat16")
    assert half.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(updates)} == {jnp.dtype("float32")}
    difference = jnp.abs(half.astype(jnp.float32) - full).max() / jnp.abs(full).max()
    assert 0 < difference < 0.1
