from collections.abc import Callable
from functools import partial

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from jaxcolor.colorization.task import evaluate_step, predict, predict_images, train_step
from jaxcolor.models.unet import CNN, DilatedUNet, UNet
from jaxcolor.training.batches import make_batches
from jaxcolor.training.engine import EpochRunner
from jaxcolor.training.state import TrainState, create_state, initialize


def batch(n: int = 5, seed: int = 0) -> dict:
    rng = np.random.default_rng(seed)
    return {
        "inputs": jnp.asarray(rng.uniform(0, 1, (n, 8, 8, 1)), jnp.float32),
        "labels": jnp.asarray(rng.integers(0, 6, (n, 8, 8)), jnp.uint8),
        "mask": None,
    }


def padded(batch: dict, to: int) -> dict:
    """The batch with wild images behind it that do not count."""
    n = len(batch["labels"])
    return {
        "inputs": jnp.concatenate([batch["inputs"], jnp.full((to - n, 8, 8, 1), 50.0)]),
        "labels": jnp.concatenate([batch["labels"], jnp.zeros((to - n, 8, 8), jnp.uint8)]),
        "mask": jnp.asarray([1.0] * n + [0.0] * (to - n)),
    }


def state(model: Callable[..., nn.Module] = UNet) -> TrainState:
    return initialize(model(4, 6), jnp.zeros((1, 8, 8, 1)), optax.adam(1e-2), seed=0)


def test_sums_of_constant_logits() -> None:
    """A network that gives each pixel the same odds, 3 to 1 for the first of two colors."""
    labels = jnp.asarray([[[0, 0], [0, 1]], [[1, 1], [1, 1]], [[0, 0], [0, 0]]], jnp.uint8)
    constant = create_state(
        lambda variables, x, train: jnp.broadcast_to(variables["params"], (*x.shape[:3], 2)),
        {"params": jnp.log(jnp.asarray([3.0, 1.0])), "batch_stats": {}},
        optax.sgd(0.1),
    )
    inputs = jnp.zeros((3, 2, 2, 1))
    sums = evaluate_step(constant, {"inputs": inputs, "labels": labels, "mask": jnp.asarray([1.0, 1, 0])})
    right, wrong = -np.log(3 / 4), -np.log(1 / 4)
    assert float(sums["loss"]) == pytest.approx((3 * right + wrong) / 4 + wrong, rel=1e-6)
    assert float(sums["right"]) == pytest.approx(0.75)
    assert float(sums["count"]) == 2


def test_images_are_painted_in_palette_colors() -> None:
    palette = jnp.asarray([[0.0, 0.25, 1.0], [0.5, 0.125, 0.75]])
    brightness = create_state(  # dark pixels have the first color, bright ones the second
        lambda variables, x, train: jnp.concatenate([0.5 - x, x - 0.5], axis=-1),
        {"params": {}, "batch_stats": {}},
        optax.sgd(0.1),
    )
    images = jnp.asarray([[[[10, 20, 30], [200, 190, 210]], [[120, 128, 121], [255, 255, 255]]]], jnp.uint8)
    painted = predict_images(brightness, images, palette)
    first, second = [0, 64, 255], [128, 32, 192]
    np.testing.assert_array_equal(painted[0], [[first, second], [first, second]])


@pytest.mark.parametrize("model", [CNN, UNet])
def test_padding_changes_nothing(model: type) -> None:
    """Loss, gradients and statistics of a padded batch are those of the batch itself."""
    plain_state, plain = jax.jit(train_step)(state(model), batch())
    masked_state, masked = jax.jit(train_step)(state(model), padded(batch(), to=8))
    for name in ("loss", "count"):
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


@pytest.mark.parametrize("model", [CNN, UNet, DilatedUNet])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_compiles_for_cuda(model: type, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU runs, many steps a call, is lowered for it, with no part that only a CPU has."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    before = state(partial(model, dtype=dtype))
    runner = EpochRunner(train_step)
    assert runner.steps > 1
    data = {name: batch(7)[name] for name in ("inputs", "labels")}
    indices = np.zeros((runner.steps, 3), np.int32)
    exported = jax.export.export(runner._call, platforms=["cuda"])(before, data, indices, None)
    assert exported.platforms == ("cuda",)
    program = exported.mlir_module()
    assert "stablehlo.convolution" in program
    assert "stablehlo.while" in program
    assert "optimization_barrier" not in program
    assert ("bf16" in program) == (dtype == jnp.bfloat16)
