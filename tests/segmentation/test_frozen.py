import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcolor.models.deeplabv3 import DeepLabV3, Trained
from jaxcolor.segmentation.frozen import (
    fingerprint,
    freeze,
    merge,
    trainable_mask,
    trainable_part,
)
from jaxcolor.trees import flatten

TREE = {
    "backbone": {"stem": {"kernel": jnp.ones(3)}},
    "head": {"conv": {"kernel": jnp.ones(2)}, "classifier": {"kernel": jnp.ones(1), "bias": jnp.ones(1)}},
}


@pytest.mark.parametrize(("train", "count"), [("last", 2), ("head", 3), ("all", 4)])
def test_what_is_trained(train: Trained, count: int) -> None:
    assert sum(jax.tree.leaves(trainable_mask(TREE, train))) == count
    part = trainable_part(TREE, train)
    assert len(jax.tree.leaves(part)) == count
    doubled = merge(TREE, jax.tree.map(lambda x: 2 * x, part))
    assert doubled.keys() == TREE.keys()
    assert sum(float(leaf[0]) for leaf in jax.tree.leaves(doubled)) == 4 + count


@pytest.mark.parametrize("train", ["last", "head", "all"])
def test_every_parameter_of_the_network_has_its_rule(train: Trained) -> None:
    model = DeepLabV3("efficientnet-lite0", 5, 16)
    params = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))["params"]
    trained = {
        path[0] if path[1] != "classifier" else "last"
        for path, t in flatten(trainable_mask(params, train)).items()
        if t
    }
    assert trained == {"last": {"last"}, "head": {"head", "last"}, "all": {"backbone", "head", "last"}}[train]


def test_frozen_parameters_have_no_state_and_do_not_move() -> None:
    optimizer = freeze(optax.adam(0.1), TREE, "last")
    state = optimizer.init(TREE)
    moments = [leaf.size for leaf in jax.tree.leaves(state) if leaf.ndim]
    assert sum(moments) == 2 * 2  # first and second moments of two numbers
    gradients = jax.tree.map(jnp.ones_like, TREE)
    updates, _ = optimizer.update(gradients, state, TREE)
    moved = {"/".join(path) for path, update in flatten(updates).items() if np.any(update)}
    assert moved == {"head/classifier/kernel", "head/classifier/bias"}


def test_the_fingerprint_is_of_what_is_frozen() -> None:
    variables = {"params": TREE, "batch_stats": {"backbone": {"stem": {"mean": jnp.zeros(2)}}}}
    before = fingerprint(variables, "last")
    last = merge(variables, {"params": {"head": {"classifier": {"bias": jnp.zeros(1)}}}})
    assert fingerprint(last, "last") == before
    for change in (
        {"params": {"head": {"conv": {"kernel": jnp.array([1, 1 + 1e-7])}}}},
        {"batch_stats": {"backbone": {"stem": {"mean": jnp.array([0, -0.0])}}}},
    ):
        assert fingerprint(merge(variables, change), "last") != before
