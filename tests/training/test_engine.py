import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcolor.training.batches import make_batches
from jaxcolor.training.engine import Batch, Engine, Sums, keep_state
from jaxcolor.training.state import TrainState, create_state

SGD = optax.sgd(0.01)


def line(variables: dict, x: jax.Array) -> jax.Array:
    return variables["params"]["w"] * x


def state() -> TrainState:
    return create_state(line, {"params": {"w": jnp.ones(())}}, SGD)


def step(state: TrainState, batch: Batch) -> tuple[TrainState, Sums]:
    """Least squares y = w·x; the loss of the step and the count of images that are not padding."""
    valid = jnp.ones(len(batch["x"])) if batch["valid"] is None else batch["valid"]

    def loss(params: dict) -> jax.Array:
        return (jnp.square(params["w"] * batch["x"] - batch["y"]) * valid).sum()

    value, gradient = jax.value_and_grad(loss)(state.params)
    return state.apply_gradients(grads=gradient), {"loss": value, "count": valid.sum()}


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
def test_one_and_many_steps_per_call_give_the_same(steps: int, batch_size: int) -> None:
    """The number of steps per call may divide the epoch or not, and the last batch may be padded."""
    images: list[int] = []
    losses: list[float] = []

    def on_step(count: int, sums: dict) -> None:
        images.append(count)
        losses.append(sums["loss"])

    batches = make_batches(np.arange(23), batch_size)
    after, sums = Engine(step, steps=steps)(state(), batches, DATA, on_step)
    w, total = by_hand(batch_size)
    assert float(after.params["w"]) == pytest.approx(w, rel=1e-5)
    assert sums["loss"] == pytest.approx(total, rel=1e-5)
    assert sums["count"] == 23
    assert int(after.step) == -(-23 // batch_size)
    assert len(images) == -(-int(after.step) // steps)
    assert sum(images) == 23
    assert sum(losses) == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize(("steps", "programs"), [(1, 1), (5, 1), (4, 2)])
def test_one_program_is_compiled_for_all_batches(steps: int, programs: int) -> None:
    """And one for fewer steps at the end."""
    runner = Engine(step, steps=steps)
    for _ in range(2):
        runner(state(), make_batches(np.arange(23), 5), DATA)
    compiled = runner._run if steps == 1 else runner._run_many
    assert compiled.jitted._cache_size() == programs


@pytest.mark.parametrize("steps", [1, 5])
def test_a_step_that_was_compiled_ahead_is_not_compiled_again(steps: int) -> None:
    runner = Engine(step, steps=steps)
    batches = make_batches(np.arange(25), 5)
    runner.compile_ahead(jax.eval_shape(state), batches, DATA)
    after, sums = runner(state(), batches, DATA)
    assert (int(after.step), sums["count"]) == (5, 25)
    compiled = runner._run if steps == 1 else runner._run_many
    assert compiled.jitted._cache_size() == 0


@pytest.mark.parametrize("steps", [1, 4])
def test_the_state_is_donated_in_training_and_kept_in_evaluation(steps: int) -> None:
    batches = make_batches(np.arange(23), 5)
    before = state()
    Engine(step, steps=steps)(before, batches, DATA)
    assert before.params["w"].is_deleted()

    before = state()
    evaluate = keep_state(lambda state, batch: step(state, batch)[1])
    after, sums = Engine(evaluate, donate=False, steps=steps)(before, batches, DATA)
    assert float(before.params["w"]) == float(after.params["w"]) == 1
    assert sums["loss"] == pytest.approx(np.square(2 * X.astype(np.float64)).sum(), rel=1e-5)


def test_batches_of_arrays_run_one_by_one() -> None:
    """Without a data set on the device, a batch holds the arrays; on a GPU, too, it is one step per call."""
    rows = [slice(0, 10), slice(10, 20), slice(20, 23)]
    batches = [{"x": X[part], "y": 3 * X[part], "valid": np.ones(len(X[part]), np.float32)} for part in rows]
    counts: list[int] = []
    after, sums = Engine(step, steps=4)(state(), batches, on_step=lambda count, _: counts.append(count))
    w, total = by_hand(10)
    assert float(after.params["w"]) == pytest.approx(w, rel=1e-5)
    assert sums["loss"] == pytest.approx(total, rel=1e-5)
    assert counts == [10, 10, 3]
