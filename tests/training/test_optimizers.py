from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcolor.training.optimizers import make_optimizer, make_schedule

PARAMS = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
POLY = [1, 0.84867, 0.69425, 0.53589, 0.37204, 0.19937]  # (1 − step / 6) to the power of 0.9


def rates(schedule: optax.Schedule | float, steps: int) -> list[float]:
    """Return the sizes of Adam's steps. Adam divides a constant gradient by itself."""
    optimizer = make_optimizer("adam", schedule)
    state = optimizer.init(PARAMS)
    gradients = jax.tree.map(lambda leaf: jnp.full_like(leaf, 100), PARAMS)
    update, found = jax.jit(optimizer.update), []
    for _ in range(steps):
        updates: Any
        updates, state = update(gradients, state, PARAMS)
        found.append(-float(updates["bias"][0]))
    return found


@pytest.mark.parametrize(
    ("kind", "warm_up", "expected"),
    [
        ("constant", 0, [1] * 7),
        ("constant", 2, [0, 0.5, 1, 1, 1, 1, 1]),
        ("poly", 0, POLY),
        ("cosine", 0, [(1 + np.cos(np.pi * step / 6)) / 2 for step in range(7)]),
        ("cosine", 2, [0, 0.5, *((1 + np.cos(np.pi * step / 4)) / 2 for step in range(5))]),
    ],
)
def test_the_learning_rate_of_each_step(kind: str, warm_up: int, expected: list[float]) -> None:
    found = rates(make_schedule(kind, 0.5, 6, warm_up), len(expected))
    assert found == pytest.approx([0.5 * rate for rate in expected], abs=2e-5)


def test_one_cycle_rises_from_a_25th_and_falls_to_nearly_0() -> None:
    found = rates(make_schedule("one-cycle", 0.5, 100), 100)
    assert found[0] == pytest.approx(0.02, rel=1e-3)
    assert np.argmax(found) == 30
    assert max(found) == pytest.approx(0.5, rel=1e-3)
    assert found[:30] == sorted(found[:30])
    assert found[30:] == sorted(found[30:], reverse=True)
    assert 0 <= found[-1] < 1e-3


def test_adamw_shrinks_kernels_only() -> None:
    adam, adamw = make_optimizer("adam", 0.5), make_optimizer("adamw", 0.5, weight_decay=0.1)
    gradients = jax.tree.map(jnp.ones_like, PARAMS)
    plain: Any
    shrunk: Any
    (plain, _), (shrunk, _) = (one.update(gradients, one.init(PARAMS), PARAMS) for one in (adam, adamw))
    np.testing.assert_allclose(shrunk["bias"], plain["bias"])
    np.testing.assert_allclose(shrunk["kernel"], plain["kernel"] - 0.5 * 0.1, rtol=1e-6)
