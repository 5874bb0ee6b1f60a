from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from plain_networks import check_softmax, check_train_step, make_variables, plain_network
from random_arrays import uniform

from jaxcolor.layers import cross_entropy
from jaxcolor.models import CNN, DilatedUNet, UNet

SIZES = [(1, 2, 3, 1), (3, 32, 24, 1), (3, 32, 24, 3), (5, 8, 10, 1), (7, 4, 16, 3)]


@pytest.mark.parametrize("model", [UNet, DilatedUNet])
@pytest.mark.parametrize(("k", "nf", "nc", "nic"), SIZES)
def test_skip_connections_add_the_weights_of_wider_inputs(
    model: type[UNet], k: int, nf: int, nc: int, nic: int
) -> None:
    shapes = jax.eval_shape(model(nf, nc, k).init, jax.random.key(0), jnp.zeros((1, 8, 8, nic)))
    cnn = k**2 * (nc**2 + nc * nf + 8 * nf**2 + nf * nic) + 4 * nc + 18 * nf
    # Layer 4 also sees 2 NF channels, layer 5 NF and the last one NIC.
    skips = k**2 * (2 * nf * nf + nf * nc + nic * nc)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == cnn + skips


@pytest.mark.parametrize("model", [CNN(4, 5), UNet(4, 5), DilatedUNet(4, 5), UNet(4, 5, kernel_size=5)])
@pytest.mark.parametrize(("height", "width", "channels"), [(8, 12, 1), (4, 4, 3), (36, 8, 1)])
def test_logits_have_the_size_of_the_images(model: nn.Module, height: int, width: int, channels: int) -> None:
    x = jnp.zeros((2, height, width, channels))
    logits, _ = jax.eval_shape(model.init_with_output, jax.random.key(0), x)
    assert logits.shape == (2, height, width, 5)


@pytest.mark.shipped
def test_a_train_step_equals_the_plain_definition() -> None:
    check_train_step(UNet(2, 5), partial(plain_network, skips=True))


def test_the_dilation_applies_to_layer_3() -> None:
    check_train_step(DilatedUNet(2, 5, dilation=4), partial(plain_network, skips=True, dilation=4))


def test_outputs_are_arrays_everywhere() -> None:
    check_softmax(DilatedUNet(2, 5), partial(plain_network, skips=True, dilation=2))


def test_a_loss_of_optax_has_the_same_gradient_as_our_own() -> None:
    x = uniform(0, 2, 8, 4, 1)
    labels = jnp.arange(64, dtype=jnp.uint8).reshape(2, 8, 4) % 5
    model = UNet(2, 5)
    variables = make_variables(model, x)

    def ours(logits: jax.Array) -> jax.Array:
        return cross_entropy(logits, labels, jnp.full(2, 0.5))

    def theirs(logits: jax.Array) -> jax.Array:
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels.astype(int)).mean()

    def of_params(loss: Any) -> Any:
        return lambda params: loss(model.apply(variables | {"params": params}, x))

    (loss, gradient), (expected, expected_gradient) = jax.jit(
        lambda params: [jax.value_and_grad(of_params(loss))(params) for loss in (ours, theirs)]
    )(variables["params"])
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), gradient, expected_gradient)


def test_bfloat16_stays_near_float32() -> None:
    x = uniform(1, 4, 8, 8, 1)
    variables = make_variables(UNet(4, 5), x)

    def train(dtype: str) -> Any:
        model = UNet(4, 5, dtype=jnp.dtype(dtype))
        return model.apply(variables, x, train=True, mutable=["batch_stats"])

    (full, _), (half, updates) = jax.jit(lambda: (train("float32"), train("bfloat16")))()
    assert half.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(updates)} == {jnp.dtype("float32")}
    difference = jnp.abs(half.astype(jnp.float32) - full).max() / jnp.abs(full).max()
    assert 0 < difference < 0.1
