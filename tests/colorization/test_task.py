import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcolor.colorization.models import CNN, UNet
from jaxcolor.colorization.task import evaluate_step, pixel_sums, predict, train_step
from jaxcolor.training.batches import make_batches
from jaxcolor.training.loop import EpochRunner
from jaxcolor.training.state import TrainState, initialize


def batch(n: int = 5, seed: int = 0) -> dict:
    rng = np.random.default_rng(seed)
    return {
        "inputs": jnp.asarray(rng.uniform(0, 1, (n, 8, 8, 1)), jnp.float32),
        "labels": jnp.asarray(rng.integers(0, 6, (n, 8, 8)), jnp.uint8),
        "mask": None,
    }


def padded(batch: dict, to: int) -> dict:
    """The batch with wild pictures behind it that do not count."""
    n = len(batch["labels"])
    return {
        "inputs": jnp.concatenate([batch["inputs"], jnp.full((to - n, 8, 8, 1), 50.0)]),
        "labels": jnp.concatenate([batch["labels"], jnp.zeros((to - n, 8, 8), jnp.uint8)]),
        "mask": jnp.asarray([1.0] * n + [0.0] * (to - n)),
    }


def state(model: type = UNet) -> TrainState:
    return initialize(model(4, 6), jnp.zeros((1, 8, 8, 1)), optax.adam(1e-2), seed=0)


def test_sums_on_hand_computed_values() -> None:
    # Two pictures of two pixels with two colours; probabilities 1/4 and 3/4, or even.
    logits = jnp.log(jnp.asarray([[[[1.0, 3.0], [1.0, 1.0]]], [[[3.0, 1.0], [3.0, 1.0]]]]))
    labels = jnp.asarray([[[1, 0]], [[1, 0]]], jnp.uint8)
    sums = pixel_sums(logits, labels, None)
    losses = [(-np.log(3 / 4) - np.log(1 / 2)) / 2, (-np.log(1 / 4) - np.log(3 / 4)) / 2]
    assert float(sums["loss"]) == pytest.approx(sum(losses), rel=1e-6)
    assert float(sums["right"]) == pytest.approx(1 + 0.5)
    assert float(sums["count"]) == 2
    masked = pixel_sums(logits, labels, jnp.asarray([0.0, 1.0]))
    assert float(masked["loss"]) == pytest.approx(losses[1], rel=1e-6)
    assert float(masked["count"]) == 1


@pytest.mark.parametrize("model", [CNN, UNet])
def test_padding_changes_nothing(model: type) -> None:
    """Loss, gradients and statistics of a padded batch are those of the batch itself."""
    plain_state, plain = jax.jit(train_step)(state(model), batch())
    masked_state, masked = jax.jit(train_step)(state(model), padded(batch(), to=8))
    for name in ("loss", "right", "count"):
        np.testing.assert_allclose(masked[name], plain[name], rtol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6, rtol=1e-4),
        masked_state.batch_stats,
        plain_state.batch_stats,
    )
    # Adam's first moment is a tenth of the gradient. Biases before BatchNorm have none but rounding.
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6, rtol=1e-3),
        masked_state.opt_state[0].mu,
        plain_state.opt_state[0].mu,
    )
    evaluated = [jax.jit(evaluate_step)(plain_state, b) for b in (batch(), padded(batch(), to=8))]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), *evaluated)


def test_steps_learn_a_batch_by_heart() -> None:
    trained, step = state(), jax.jit(train_step)
    losses = []
    for _ in range(60):
        trained, sums = step(trained, batch(2))
        losses.append(float(sums["loss"] / sums["count"]))
    assert losses[0] == pytest.approx(np.log(6), abs=0.4)
    assert losses[-1] < 0.6 * losses[0]
    assert int(trained.step) == 60


def test_gradient_is_that_of_the_mean_loss() -> None:
    """A numeric derivative along a random direction of the last layer, where the loss is smooth."""
    before = state()
    after, _ = jax.jit(train_step)(before, batch())
    gradient = after.opt_state[0].mu["layer6"]["kernel"] / 0.1  # Adam's first moment is a tenth of it
    direction = jax.random.normal(jax.random.key(5), gradient.shape)

    @jax.jit
    def loss(distance: jax.Array) -> jax.Array:
        layer6 = before.params["layer6"]
        moved = layer6 | {"kernel": layer6["kernel"] + distance * direction}
        _, sums = train_step(before.replace(params=before.params | {"layer6": moved}), batch())
        return sums["loss"] / sums["count"]

    numeric = (loss(jnp.float32(0.01)) - loss(jnp.float32(-0.01))) / 0.02
    assert abs(float(numeric)) > 0.01
    assert float(jnp.vdot(gradient, direction)) == pytest.approx(float(numeric), rel=1e-2)


def test_evaluation_and_prediction_agree() -> None:
    trained = state()
    sums = jax.jit(evaluate_step)(trained, batch())
    right = (jax.jit(predict)(trained, batch()["inputs"]) == batch()["labels"]).mean()
    assert float(sums["right"] / sums["count"]) == pytest.approx(float(right), abs=1e-6)


def test_an_epoch_in_one_call_is_an_epoch_in_many() -> None:
    """What a GPU runs in one call, and a CPU in one for each step, do the same."""
    data = {name: batch(7)[name] for name in ("inputs", "labels")}
    batches = make_batches(np.asarray([3, 1, 0, 6, 2, 5, 4]), 3)
    (one, one_sums), (many, many_sums) = (
        EpochRunner(train_step, steps=steps)(state(), data, batches) for steps in (1, 5)
    )
    assert one_sums == pytest.approx(many_sums, rel=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6, rtol=1e-3),
        one.opt_state[0].mu,
        many.opt_state[0].mu,
    )
