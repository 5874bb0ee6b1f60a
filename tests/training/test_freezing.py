from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcolor.training.freezing import EVERYTHING, Trainable
from jaxcolor.training.state import TrainState, create_state

RULE = Trainable("head/.*")


def make_params() -> dict[str, Any]:
    return {"backbone": {"w": jnp.asarray([-0.0, 2.0])}, "head": {"w": jnp.asarray([1.0, 3.0])}}


def make_state(rule: Trainable = RULE) -> TrainState:
    variables = {"params": make_params(), "batch_stats": {"backbone": {"mean": jnp.ones(1)}}}
    return create_state(abs, variables, optax.adam(0.1), rule)


def test_the_whole_path_must_match() -> None:
    assert RULE(("head", "w"))
    assert not RULE(("overhead", "w"))
    assert not RULE(("backbone", "head", "w"))
    assert EVERYTHING(("anything",))


def test_mask_select_and_merge() -> None:
    params = make_params()
    assert RULE.mask(params) == {"backbone": {"w": False}, "head": {"w": True}}
    selected = RULE.select(params)
    assert selected["backbone"]["w"] == optax.MaskedNode()
    assert [leaf.tolist() for leaf in jax.tree.leaves(selected)] == [[1, 3]]
    merged = RULE.merge(params, {"head": {"w": 7}})
    assert merged["head"]["w"] == 7
    assert merged["backbone"]["w"] is params["backbone"]["w"]


@pytest.mark.parametrize("run", [jax.jit, lambda f: f])
def test_frozen_parameters_keep_every_bit(run: Any) -> None:
    """−0.0 + 0.0 is 0.0: adding a zero update would change a bit."""

    def step(state: TrainState) -> tuple[TrainState, Any]:
        def loss(part: Any) -> jax.Array:
            params = state.trainable.merge(state.params, part)
            return jnp.square(params["head"]["w"] * params["backbone"]["w"]).sum()

        grads = jax.grad(loss)(state.trainable.select(state.params))
        return state.apply_gradients(grads=grads), grads

    state = make_state()
    after, grads = run(step)(state)
    assert len(jax.tree.leaves(grads)) == 1
    before_bytes = np.asarray(state.params["backbone"]["w"]).tobytes()
    assert np.asarray(after.params["backbone"]["w"]).tobytes() == before_bytes
    # Adam's first step has the size of the learning rate, against the sign of the gradient: 0 and 24.
    np.testing.assert_allclose(after.params["head"]["w"], [1.0, 2.9], atol=1e-6)
    assert int(after.step) == 1
    assert RULE.fingerprint(after.variables) == RULE.fingerprint(state.variables)


def test_frozen_parameters_have_no_optimizer_state() -> None:
    sizes = [
        sum(leaf.size for leaf in jax.tree.leaves(make_state(rule).opt_state)) for rule in (RULE, EVERYTHING)
    ]
    assert sizes == [1 + 2 * 2, 1 + 2 * 4]  # the step, and two moments per parameter


def test_the_fingerprint_covers_every_frozen_bit() -> None:
    variables = make_state().variables
    first = RULE.fingerprint(variables)

    def change(collection: str, part: str, name: str, value: Any) -> str:
        changed = jax.tree.map(lambda leaf: leaf, variables)
        changed[collection][part][name] = value
        return RULE.fingerprint(changed)

    assert change("params", "head", "w", jnp.zeros(2)) == first
    assert change("params", "backbone", "w", jnp.asarray([0.0, 2.0])) != first
    assert change("batch_stats", "backbone", "mean", jnp.full(1, 1 + 1e-7)) != first
