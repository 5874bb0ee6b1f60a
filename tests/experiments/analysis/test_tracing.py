from typing import Any

import jax
import jax.numpy as jnp
import pytest
from analysis.tracing import Layer, total, trace_layers
from flax import linen as nn

from jaxcolor.layers import Conv2d, ConvTranspose2d
from jaxcolor.layers.conv_norm import ConvNorm
from jaxcolor.models import CNN, MODELS, DeepLabV3, DilatedUNet, UNet


@pytest.mark.parametrize(("k", "nf", "nc", "nic"), [(3, 32, 24, 1), (5, 4, 7, 1), (7, 2, 3, 3)])
@pytest.mark.parametrize(("size", "scale"), [(32, 1), (64, 4)])
def test_the_cnn_has_the_published_weights_and_connections(
    k: int, nf: int, nc: int, nic: int, size: int, scale: int
) -> None:
    """But for the slip at 64×64: 4 · 896 = 3584 times NF², not 5120."""
    counts = total(trace_layers(CNN(nf, nc, k), (size, size, nic), train=False))
    assert counts["weights"] == k**2 * (nc**2 + nc * nf + 8 * nf**2 + nic * nf) + 4 * nc + 18 * nf
    assert counts["connections"] == scale * k**2 * (
        1024 * nc**2 + 256 * nc * nf + 896 * nf**2 + 1024 * nic * nf
    )
    assert counts["outputs"] == scale * (2048 * nc + 768 * nf)


def test_layers_of_the_unet_by_hand() -> None:
    """8×8 pixels. Along an axis of n pixels 3n − 2 of the 3n pairs of a pixel and a tap are inside."""
    assert trace_layers(UNet(5, 7, 3), (8, 8, 3), train=False) == [
        Layer("layer1", 3, 3, 5, 8, 8, 135 + 15, 16 * 5, 9 * 64 * 3 * 5, 22**2 * 3 * 5),
        Layer("layer2", 3, 5, 10, 4, 4, 450 + 30, 4 * 10, 9 * 16 * 5 * 10, 10**2 * 5 * 10),
        Layer("layer3", 3, 10, 10, 2, 2, 900 + 30, 4 * 10, 9 * 4 * 10 * 10, 4**2 * 10 * 10),
        Layer("layer4", 3, 20, 5, 2, 2, 900 + 15, 16 * 5, 9 * 4 * 20 * 5, 4**2 * 20 * 5),
        Layer("layer5", 3, 10, 7, 4, 4, 630 + 21, 64 * 7, 9 * 16 * 10 * 7, 10**2 * 10 * 7),
        Layer("layer6", 3, 10, 7, 8, 8, 630 + 7, 64 * 7, 9 * 64 * 10 * 7, 22**2 * 10 * 7),
    ]


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_parameter_belongs_to_a_layer(name: str) -> None:
    model = MODELS[name](filters=4, colors=3)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 16, 16, 1)))
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))
    assert total(trace_layers(model, (16, 16, 1)))["weights"] == count


def test_dilation_changes_what_lies_inside_alone() -> None:
    plain, dilated = (
        trace_layers(model, (16, 16, 1), train=False)[2] for model in (UNet(4, 3), DilatedUNet(4, 3))
    )
    assert plain.multiply_adds == 10**2 * 8 * 8
    assert dilated == plain._replace(multiply_adds=8**2 * 8 * 8)  # two taps of three lose two pixels of four


def test_a_depthwise_kernel_has_one_input_channel() -> None:
    [layer] = trace_layers(ConvNorm(4, 3, depthwise=True), (5, 5, 4))
    assert layer == Layer("", 3, 1, 4, 5, 5, 9 * 4 + 8, 100, 9 * 25 * 4, 13**2 * 4)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Conv2d(2, 5), (6, 9, 3)),
        (Conv2d(2, 3, dilation=4), (8, 6, 2)),
        (Conv2d(2, 3, stride=2), (8, 6, 2)),
        (Conv2d(2, 5, stride=2), (6, 10, 3)),
        (ConvTranspose2d(2, 3), (4, 3, 2)),
        (ConvTranspose2d(3, 5), (5, 4, 2)),
        (ConvNorm(2, 7, stride=2), (11, 8, 3)),
        (ConvNorm(2, 3, dilation=3), (7, 5, 3)),
        (ConvNorm(2, 5, stride=2, padding="same"), (8, 7, 3)),
        (ConvNorm(3, 5, stride=2, padding="same", depthwise=True), (8, 9, 3)),
        (nn.Conv(4, (1, 1)), (3, 5, 2)),
    ],
)
def test_multiply_adds_are_what_a_layer_of_ones_adds_up(layer: Any, shape: tuple[int, int, int]) -> None:
    """A image of ones, kernels of ones: each multiply-add that meets a pixel adds 1 to the outputs."""
    [traced] = trace_layers(layer, shape)
    ones = jnp.ones((1, *shape))
    variables = layer.init(jax.random.key(0), ones)
    params = jax.tree.map(jnp.zeros_like, variables["params"])
    params["kernel"] = jnp.ones_like(params["kernel"])
    if "norm" in params:
        params["norm"]["scale"] += (1 + 1e-5) ** 0.5  # the square root of the running variance and epsilon
    found = layer.apply({**variables, "params": params}, ones).sum()
    assert float(found) == pytest.approx(traced.multiply_adds, rel=1e-5)


@pytest.mark.parametrize(("architecture", "count"), [("resnet101", 60_996_202), ("resnet50", 42_004_074)])
def test_deeplab_has_as_many_weights_as_torchvisions(architecture: str, count: int) -> None:
    layers = trace_layers(DeepLabV3(architecture, 21, aux=True), (64, 64, 3))
    assert total(layers)["weights"] == count
    assert {layer.weights for layer in layers if layer.name == "head/classifier"} == {5397}


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (UNet(4, 3), {"train": False}),
        (DilatedUNet(4, 3), {"train": False}),
        (DeepLabV3("efficientnet-lite0", 3, 16), {}),
    ],
)
def test_no_weights_are_missed_or_counted_twice(model: nn.Module, options: dict[str, Any]) -> None:
    layers = trace_layers(model, (32, 32, 3), **options)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), **options))
    assert total(layers)["weights"] == sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))
