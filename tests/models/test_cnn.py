from functools import partial

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn
from plain_networks import check_softmax, check_train_step, plain_network

from jaxcolor.models import CNN, DilatedUNet, UNet

SIZES = [(1, 2, 3, 1), (3, 32, 24, 1), (3, 32, 24, 3), (5, 8, 10, 1), (7, 4, 16, 3)]


@pytest.mark.parametrize(("k", "nf", "nc", "nic"), SIZES)
def test_the_cnn_has_the_published_number_of_parameters(k: int, nf: int, nc: int, nic: int) -> None:
    # The published formula for one input channel, with NF·NIC for its NF. Biases, scale and shift are
    # 18 NF + 4 NC.
    expected = k**2 * (nc**2 + nc * nf + 8 * nf**2 + nf * nic) + 4 * nc + 18 * nf
    shapes = jax.eval_shape(CNN(nf, nc, k).init, jax.random.key(0), jnp.zeros((1, 8, 8, nic)))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == expected


def test_a_train_step_equals_the_plain_definition() -> None:
    check_train_step(CNN(2, 5), partial(plain_network, skips=False))


def test_outputs_are_arrays_everywhere() -> None:
    check_softmax(CNN(2, 5), partial(plain_network, skips=False))


@pytest.mark.parametrize("model", [CNN(), UNet(), DilatedUNet()])
@pytest.mark.parametrize("shape", [(30, 32), (32, 34), (7, 7)])
def test_sides_that_do_not_divide_by_4_are_refused(model: nn.Module, shape: tuple[int, int]) -> None:
    message = f"images of {shape[0]}×{shape[1]} pixels: both sides must divide by 4"
    with pytest.raises(ValueError, match=message):
        model.init(jax.random.key(0), jnp.zeros((1, *shape, 1)))
