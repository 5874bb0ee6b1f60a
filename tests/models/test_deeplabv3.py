from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcolor.models.deeplabv3 import Backbone, DeepLabV3, interpolation, upsample
from jaxcolor.models.resnet import max_pool


def shapes(architecture: Backbone, **options: object) -> dict:
    model = DeepLabV3(architecture, 21, **options)  # type: ignore[arg-type]
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))["params"]


@pytest.mark.parametrize(("architecture", "count"), [("resnet101", 60_996_202), ("resnet50", 42_004_074)])
def test_parameters_are_as_many_as_torchvision_has(architecture: Backbone, count: int) -> None:
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes(architecture, aux=True))) == count


def test_the_last_layer_has_as_many_parameters_as_the_assignment_says() -> None:
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes("resnet50")["head"]["classifier"])) == 5397


@pytest.mark.parametrize("architecture", ["resnet50", "efficientnet-lite0"])
@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("size", [(64, 96), (65, 90)])
def test_features_are_so_many_times_smaller(
    architecture: Backbone, stride: int, size: tuple[int, int]
) -> None:
    model = DeepLabV3(architecture, 5, stride)  # type: ignore[arg-type]
    x = jnp.zeros((2, *size, 3))
    variables = jax.eval_shape(model.init, jax.random.key(0), x)
    logits, aux = jax.eval_shape(model.apply, variables, x)
    assert logits.shape == (2, *(-(-n // stride) for n in size), 5)
    assert aux is None


def test_features_computed_before_give_the_same_logits() -> None:
    model = DeepLabV3("efficientnet-lite0", 4, 16)
    x = jax.random.normal(jax.random.key(0), (1, 48, 64, 3))
    variables = model.init(jax.random.key(1), x)
    expected: Any = model.apply(variables, x)[0]
    for behind in ("backbone", "head"):
        features: Any = model.apply(variables, x, behind, method="features")
        logits: Any = model.apply(variables, features, given=behind)[0]
        np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_frozen_parts_use_their_running_statistics() -> None:
    model = DeepLabV3("efficientnet-lite0", 4, 16, aux=True)
    x = jax.random.normal(jax.random.key(0), (2, 48, 64, 3))
    variables = model.init(jax.random.key(1), x)
    rngs = {"dropout": jax.random.key(2)}
    moved = {}
    for train in ("last", "head", "all"):
        (_, aux), updates = model.apply(variables, x, train=train, mutable=["batch_stats"], rngs=rngs)
        changed = jax.tree.map(
            lambda a, b: bool(np.any(a != b)), variables["batch_stats"], updates["batch_stats"]
        )
        moved[train] = {part for part, tree in changed.items() if any(jax.tree.leaves(tree))}
        assert (aux is not None) == (train == "all")
    assert moved == {"last": set(), "head": {"head"}, "all": {"backbone", "head", "aux_head"}}


@pytest.mark.parametrize(("size", "old"), [((7, 9), (3, 4)), ((12, 16), (3, 4)), ((2, 3), (5, 4))])
def test_upsampling_is_that_of_jax(size: tuple[int, int], old: tuple[int, int]) -> None:
    x = jax.random.normal(jax.random.key(0), (2, *old, 3))
    expected = jax.image.resize(x, (2, *size, 3), "bilinear", antialias=False)
    np.testing.assert_allclose(upsample(x, size), expected, atol=1e-5)


def test_interpolation_on_hand_computed_values() -> None:
    np.testing.assert_allclose(interpolation(4, 2), np.array([[4, 0], [3, 1], [1, 3], [0, 4]]) / 4)


@pytest.mark.parametrize("size", [(8, 8), (7, 10), (5, 1)])
def test_max_pool_is_the_windowed_one(size: tuple[int, int]) -> None:
    x = jax.random.normal(jax.random.key(0), (2, *size, 3))
    expected = jax.lax.reduce_window(
        x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (1, 1), (0, 0))
    )
    np.testing.assert_array_equal(max_pool(x), expected)
