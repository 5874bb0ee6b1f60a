from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcolor.models.deeplabv3 import RATES, DeepLabV3
from jaxcolor.models.resnet import max_pool


def shapes(architecture: str, **options: Any) -> dict:
    model = DeepLabV3(architecture, 21, **options)
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))["params"]


@pytest.mark.parametrize(("architecture", "count"), [("resnet101", 60_996_202), ("resnet50", 42_004_074)])
def test_the_number_of_parameters_is_torchvisions(architecture: str, count: int) -> None:
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes(architecture, aux=True))) == count


def test_the_last_layer_has_the_assignments_number_of_parameters() -> None:
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes("resnet50")["head"]["classifier"])) == 5397


@pytest.mark.parametrize("architecture", ["resnet50", "efficientnet-lite0"])
@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("size", [(64, 96), (65, 90)])
def test_features_are_smaller_by_the_output_stride(
    architecture: str, stride: int, size: tuple[int, int]
) -> None:
    model = DeepLabV3(architecture, 5, stride)
    x = jnp.zeros((2, *size, 3))
    variables = jax.eval_shape(model.init, jax.random.key(0), x)
    logits = jax.eval_shape(model.apply, variables, x)
    assert logits.shape == (2, *(-(-n // stride) for n in size), 5)


def test_features_of_a_frozen_part_give_the_same_logits() -> None:
    model = DeepLabV3("efficientnet-lite0", 4, 16)
    x = jax.random.normal(jax.random.key(0), (1, 48, 64, 3))
    variables = model.init(jax.random.key(1), x)
    expected: Any = model.apply(variables, x)
    for part in ("backbone", "head"):
        features: Any = model.apply(variables, x, part, method="features")
        logits: Any = model.apply(variables, features, after=part)
        np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_frozen_parts_keep_their_running_averages() -> None:
    model = DeepLabV3("efficientnet-lite0", 4, 16, aux=True)
    x = jax.random.normal(jax.random.key(0), (2, 48, 64, 3))
    variables = model.init(jax.random.key(1), x)
    rngs = {"dropout": jax.random.key(2)}
    moved = {}
    for train in ("last", "head", "all"):
        (_, aux), updates = model.apply(
            variables, x, train=train, mutable=["batch_stats"], rngs=rngs, method="with_auxiliary"
        )
        changed = jax.tree.map(
            lambda a, b: bool(np.any(a != b)), variables["batch_stats"], updates["batch_stats"]
        )
        moved[train] = {part for part, tree in changed.items() if any(jax.tree.leaves(tree))}
        assert (aux is not None) == (train == "all")
    assert moved == {"last": set(), "head": {"head"}, "all": {"backbone", "head", "aux_head"}}


def test_the_dilation_rates_reach_equally_far_in_the_image_at_both_strides() -> None:
    def rates(stride: int) -> tuple[int, ...]:
        model = DeepLabV3("resnet50", 5, stride)
        return model.bind({}).head.rates

    assert rates(8) == RATES == (12, 24, 36)
    assert rates(16) == (6, 12, 18)


@pytest.mark.parametrize("size", [(8, 8), (7, 10), (5, 1)])
def test_max_pool_equals_the_windowed_maximum(size: tuple[int, int]) -> None:
    x = jax.random.normal(jax.random.key(0), (2, *size, 3))
    expected = jax.lax.reduce_window(
        x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (1, 1), (0, 0))
    )
    np.testing.assert_array_equal(max_pool(x), expected)
