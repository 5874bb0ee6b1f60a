from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcolor.training.batches import make_batches
from jaxcolor.training.engine import Batch, EpochRunner, Sums, keeping_state
from jaxcolor.training.state import TrainState, create_state

SGD = optax.sgd(0.01)


def line(variables: dict, x: jax.Array) -> jax.Array:
    return variables["params"] * x


def state() -> TrainState:
    return create_state(line, {"params": jnp.ones(()), "batch_stats": {}}, SGD)


def step(state: TrainState, batch: Batch) -> tuple[TrainState, Sums]:
    """Least squares y = w·x; the loss of the step and the count of images that are not padding."""
    mask = jnp.ones(len(batch["x"])) if batch["mask"] is None else batch["mask"]

    def loss(w: jax.Array) -> jax.Array:
        return (jnp.square(w * batch["x"] - batch["y"]) * mask).sum()

    value, gradient = jax.value_and_grad(loss)(state.params)
    return state.apply_gradients(gradient, state.batch_stats), {"loss": value, "count": mask.sum()}


X = np.linspace(-1, 2, 23).astype(np.float32)
DATA = {"x": jnp.asarray(X), "y": jnp.asarray(3 * X)}


def by_hand(batch_size: int) -> tuple[float, float]:
    w, total = np.float64(1), 0.0
    for start in range(0, 23, batch_size):
        x = X[start : start + batch_size].astype(np.float64)
        total += np.square(w * x - 3 * x).sum()
        w -= 0.01 * (2 * (w * x - 3 * x) * x).sum()
    return w, total


@pytest.mark.parametrize("steps", [1, 3, 4, 50])
@pytest.mark.parametrize("batch_size", [1, 5, 23, 40])
def test_one_and_many_steps_a_call_do_the_same(steps: int, batch_size: int) -> None:
    """The number of steps a call divides the epoch or not; the last batch is full or not."""
    progress: list[int] = []
    after, sums = EpochRunner(step, steps=steps)(
        state(), DATA, make_batches(np.arange(23), batch_size), lambda done, _: progress.append(done)
    )
    w, total = by_hand(batch_size)
    assert float(after.params) == pytest.approx(w, rel=1e-5)
    assert sums["loss"] == pytest.approx(total, rel=1e-5)
    assert sums["count"] == 23
    assert int(after.step) == sum(progress) == -(-23 // batch_size)


@pytest.mark.parametrize(("steps", "programs"), [(1, 1), (5, 1), (4, 2)])
def test_one_program_is_compiled_for_all_batches(steps: int, programs: int) -> None:
    """And one for fewer steps at the end."""
    runner = EpochRunner(step, steps=steps)
    for _ in range(2):
        runner(state(), DATA, make_batches(np.arange(23), 5))
    compiled: Any = runner._call
    assert compiled._cache_size() == programs


@pytest.mark.parametrize("steps", [1, 4])
def test_the_state_is_donated_in_training_and_kept_in_evaluation(steps: int) -> None:
    batches = make_batches(np.arange(23), 5)
    before = state()
    EpochRunner(step, steps=steps)(before, DATA, batches)
    assert before.params.is_deleted()

    before = state()
    evaluate = keeping_state(lambda state, batch: step(state, batch)[1])
    after, sums = EpochRunner(evaluate, donate=False, steps=steps)(before, DATA, batches)
    assert float(before.params) == float(after.params) == 1
    assert sums["loss"] == pytest.approx(np.square(2 * X.astype(np.float64)).sum(), rel=1e-5)
