from functools import partial

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn
from plain_networks import check_softmax, check_train_step, plain_strided_network

from jaxcolor.models import ConvTransposeNet, StridedUNet

NETWORKS = [ConvTransposeNet, StridedUNet]


@pytest.mark.parametrize(("k", "nf", "nc", "nic"), [(1, 2, 3, 1), (3, 32, 24, 1), (5, 8, 10, 3)])
def test_the_number_of_parameters(k: int, nf: int, nc: int, nic: int) -> None:
    weights = nic * nf + nf * 2 * nf + 2 * nf * nf + nf * nc + nc * nc
    skips = {ConvTransposeNet: 0, StridedUNet: nf * nc + nic * nc}
    vectors = 3 * (nf + 2 * nf + nf + nc) + nc  # biases, scales and shifts
    for network in NETWORKS:
        shapes = jax.eval_shape(network(nf, nc, k).init, jax.random.key(0), jnp.zeros((1, 8, 8, nic)))
        count = sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))
        assert count == k**2 * (weights + skips[network]) + vectors


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_a_train_step_equals_the_plain_definition(network: type[nn.Module], kernel_size: int) -> None:
    definition = partial(plain_strided_network, skips=network is StridedUNet)
    check_train_step(network(2, 5, kernel_size), definition)


@pytest.mark.shipped
def test_a_shipped_train_step_equals_the_plain_definition() -> None:
    check_train_step(StridedUNet(2, 5), partial(plain_strided_network, skips=True))


def test_outputs_are_arrays_everywhere() -> None:
    check_softmax(StridedUNet(2, 5), partial(plain_strided_network, skips=True))


@pytest.mark.parametrize("network", NETWORKS)
def test_logits_have_the_size_of_the_images(network: type[nn.Module]) -> None:
    logits, _ = jax.eval_shape(network().init_with_output, jax.random.key(0), jnp.zeros((2, 36, 8, 3)))
    assert logits.shape == (2, 36, 8, 24)
    with pytest.raises(ValueError, match="both sides must divide by 4"):
        network().init(jax.random.key(0), jnp.zeros((1, 30, 32, 1)))
