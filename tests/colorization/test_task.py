from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from tiny_network import TinyNetwork

from jaxcolor.colorization.task import (
    batch_loss,
    evaluate_step,
    layer_outputs,
    make_train_step,
    predict,
    predict_images,
    train_step,
)
from jaxcolor.models import CNN, DilatedUNet, UNet, apply_function
from jaxcolor.training import compilation
from jaxcolor.training.batches import make_batches
from jaxcolor.training.engine import Engine
from jaxcolor.training.state import TrainState, create_state, initialize

OPTIMIZER = optax.adam(1e-2)


def batch(n: int = 5, seed: int = 0) -> dict:
    rng = np.random.default_rng(seed)
    return {
        "inputs": jnp.asarray(rng.uniform(0, 1, (n, 8, 8, 1)), jnp.float32),
        "labels": jnp.asarray(rng.integers(0, 6, (n, 8, 8)), jnp.uint8),
        "valid": None,
    }


def padded(batch: dict, to: int) -> dict:
    """Return the batch with wild images as padding."""
    n = len(batch["labels"])
    return {
        "inputs": jnp.concatenate([batch["inputs"], jnp.full((to - n, 8, 8, 1), 50.0)]),
        "labels": jnp.concatenate([batch["labels"], jnp.zeros((to - n, 8, 8), jnp.uint8)]),
        "valid": jnp.asarray([1.0] * n + [0.0] * (to - n)),
    }


def state(model: Callable[..., nn.Module] = UNet) -> TrainState:
    network = model(4, 6)
    return create_state(network.apply, jax.tree.map(jnp.copy, variables_of(network)), OPTIMIZER)


@cache
def variables_of(network: nn.Module) -> dict:
    return initialize(network, jnp.zeros((1, 8, 8, 1)), seed=0)


def first_moment(state: TrainState) -> dict:
    """Return Adam's first moment; after one step it is a tenth of the gradient."""
    return state.opt_state.inner_state[0].mu


def test_losses_and_accuracies_of_constant_logits() -> None:
    """A network that gives each pixel the same odds, 3 to 1 for the first of two colors."""
    labels = jnp.asarray([[[0, 0], [0, 1]], [[1, 1], [1, 1]], [[0, 0], [0, 0]]], jnp.uint8)
    constant = create_state(
        lambda variables, x, train: jnp.broadcast_to(variables["params"]["odds"], (*x.shape[:3], 2)),
        {"params": {"odds": jnp.log(jnp.asarray([3.0, 1.0]))}},
        optax.sgd(0.1),
    )
    inputs = jnp.zeros((3, 2, 2, 1))
    sums = evaluate_step(constant, {"inputs": inputs, "labels": labels, "valid": jnp.asarray([1.0, 1, 0])})
    right, wrong = -np.log(3 / 4), -np.log(1 / 4)
    assert float(sums["loss"]) == pytest.approx((3 * right + wrong) / 4 + wrong, rel=1e-6)
    assert float(sums["correct"]) == pytest.approx(0.75)
    assert float(sums["count"]) == 2


def test_predicted_images_have_palette_colors() -> None:
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


@pytest.mark.parametrize("model", [CNN, pytest.param(UNet, marks=pytest.mark.shipped)])
def test_padding_changes_nothing(model: type) -> None:
    """Loss, gradients and statistics of a padded batch equal those of the batch itself."""
    plain_state, plain = compilation.jit(train_step)(state(model), batch())
    padded_state, of_padded = compilation.jit(train_step)(state(model), padded(batch(), to=8))
    for name in ("loss", "count"):
        np.testing.assert_allclose(of_padded[name], plain[name], rtol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6, rtol=1e-4),
        padded_state.batch_stats,
        plain_state.batch_stats,
    )
    # Adam's first moment is a tenth of the gradient. Biases before BatchNorm have none but rounding.
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6, rtol=1e-3),
        first_moment(padded_state),
        first_moment(plain_state),
    )
    evaluated = [jax.jit(evaluate_step)(plain_state, b) for b in (batch(), padded(batch(), to=8))]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), *evaluated)


def test_label_smoothing_spreads_a_share_of_the_target() -> None:
    plain, data = state(), batch()

    def expected(params: Any) -> jax.Array:
        logits, _ = plain.apply_fn(
            plain.variables | {"params": params}, data["inputs"], train=True, mutable=["batch_stats"]
        )
        target = optax.smooth_labels(jax.nn.one_hot(data["labels"], logits.shape[-1]), 0.3)
        return optax.softmax_cross_entropy(logits, target).mean()

    ours = partial(batch_loss, state=plain, batch=data, label_smoothing=0.3)
    (loss, _), gradient = jax.jit(jax.value_and_grad(ours, has_aux=True))(plain.params)
    value, wanted = jax.jit(jax.value_and_grad(expected))(plain.params)
    assert float(loss) == pytest.approx(float(value), rel=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), gradient, wanted)


def test_random_changes_differ_from_step_to_step_and_repeat_with_the_seed() -> None:
    assert make_train_step() is train_step
    step = jax.jit(make_train_step(seed=3, flip=True, shift=2))

    def loss(step: Any, number: int) -> float:
        _, sums = step(state().replace(step=jnp.asarray(number, jnp.int32)), batch())
        return float(sums["loss"])

    losses = {loss(step, 0), loss(step, 0), loss(step, 1)}
    assert len(losses) == 2
    assert loss(jax.jit(make_train_step(seed=4, flip=True, shift=2)), 0) not in losses


def test_train_steps_learn_a_batch() -> None:
    trained, step = state(), compilation.jit(train_step)
    losses = []
    for _ in range(60):
        trained, sums = step(trained, batch(2))
        losses.append(float(sums["loss"] / sums["count"]))
    assert losses[0] == pytest.approx(np.log(6), abs=0.4)
    assert losses[-1] < 0.6 * losses[0]
    assert int(trained.step) == 60


def test_the_gradient_equals_a_numeric_derivative_of_the_mean_loss() -> None:
    """A numeric derivative along a random direction of the last layer, where the loss is smooth."""
    before = state(TinyNetwork)
    after, _ = compilation.jit(train_step)(before, batch())
    gradient = first_moment(after)["last"]["kernel"] / 0.1
    direction = jax.random.normal(jax.random.key(5), gradient.shape)

    @jax.jit
    def loss(distance: jax.Array) -> jax.Array:
        last = before.params["last"]
        moved = last | {"kernel": last["kernel"] + distance * direction}
        _, sums = train_step(before.replace(params=before.params | {"last": moved}), batch())
        return sums["loss"] / sums["count"]

    numeric = (loss(jnp.float32(0.01)) - loss(jnp.float32(-0.01))) / 0.02
    assert abs(float(numeric)) > 0.01
    assert float(jnp.vdot(gradient, direction)) == pytest.approx(float(numeric), rel=1e-2)


def test_evaluation_and_prediction_agree() -> None:
    trained = state(TinyNetwork)
    sums = jax.jit(evaluate_step)(trained, batch())
    right = (jax.jit(predict)(trained, batch()["inputs"]) == batch()["labels"]).mean()
    assert float(sums["correct"] / sums["count"]) == pytest.approx(float(right), abs=1e-6)


def test_one_and_many_steps_per_call_give_the_same() -> None:
    """A GPU runs many steps per call, a CPU one."""
    data = {name: batch(7)[name] for name in ("inputs", "labels")}
    batches = make_batches(np.asarray([3, 1, 0, 6, 2, 5, 4]), 3)
    (one, one_sums), (many, many_sums) = (
        Engine(train_step, steps=steps)(state(TinyNetwork), batches, data) for steps in (1, 5)
    )
    assert one_sums == pytest.approx(many_sums, rel=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6, rtol=1e-3),
        first_moment(one),
        first_moment(many),
    )


@pytest.mark.parametrize("model", [CNN, UNet, DilatedUNet])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_compiles_for_cuda(model: type, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many steps per call are lowered for a GPU, with no part that only a CPU has."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    before = state(partial(model, dtype=dtype))
    runner = Engine(train_step)
    assert runner.steps > 1
    data = {name: batch(7)[name] for name in ("inputs", "labels")}
    indices = np.zeros((runner.steps, 3), np.int32)
    rows = {"indices": indices, "valid": None}
    exported = jax.export.export(runner._run_many.jitted, platforms=["cuda"])(before, data, rows)
    assert exported.platforms == ("cuda",)
    program = exported.mlir_module()
    assert "stablehlo.convolution" in program
    assert "stablehlo.while" in program
    assert "optimization_barrier" not in program
    assert ("bf16" in program) == (dtype == jnp.bfloat16)


class Tiny(nn.Module):
    """A network of one's own: without BatchNorm, and with a module that is called twice."""

    colors: int = 6

    def setup(self) -> None:
        self.conv = nn.Conv(8, (3, 3))
        self.last = nn.Conv(self.colors, (1, 1))

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.last(nn.relu(self.conv(nn.relu(self.conv(x.repeat(8, -1))))))


class WithFlaxNorm(nn.Module):
    colors: int = 6

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = nn.BatchNorm(use_running_average=not train)(nn.Conv(4, (3, 3))(x))
        return nn.Conv(self.colors, (1, 1))(x)


@pytest.mark.parametrize("model", [Tiny(), WithFlaxNorm()])
def test_any_flax_network_trains_predicts_and_shows_its_layers(model: nn.Module) -> None:
    variables = dict(model.init(jax.random.key(0), batch()["inputs"], *([False] if model != Tiny() else [])))
    before = create_state(apply_function(model), variables, OPTIMIZER)
    after, sums = jax.jit(train_step)(before, batch())
    assert float(sums["loss"] / sums["count"]) == pytest.approx(np.log(6), abs=0.5)
    assert int(after.step) == 1
    again, _ = jax.jit(train_step)(after, padded(batch(), to=8))
    assert predict(again, batch()["inputs"]).shape == (5, 8, 8)
    outputs = jax.jit(partial(layer_outputs, train=False))(again, batch()["inputs"])
    first = "conv" if isinstance(model, Tiny) else "BatchNorm_0"
    assert outputs[first].shape == (5, 8, 8, 8 if isinstance(model, Tiny) else 4)
    assert outputs["logits"].shape == (5, 8, 8, 6)
    changed = jax.tree.leaves(jax.tree.map(lambda a, b: bool((a != b).any()), after.params, before.params))
    assert any(changed)


def test_layer_outputs_are_those_of_the_blocks() -> None:
    outputs = jax.jit(partial(layer_outputs, train=False))(state(CNN), batch()["inputs"])
    shapes = {name: value.shape[1:] for name, value in outputs.items()}
    assert shapes == {
        "layer1": (4, 4, 4), "layer2": (2, 2, 8), "layer3": (2, 2, 8), "layer4": (4, 4, 4),
        "layer5": (8, 8, 6), "logits": (8, 8, 6),
    }  # fmt: skip
    assert float(outputs["layer5"].min()) == 0  # after the ReLU


class OutOfOrder(nn.Module):
    """Its modules are called in another order than that of the alphabet, and one of them twice."""

    colors: int = 6

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        again = nn.Conv(1, (1, 1), name="again")
        x = nn.Conv(1, (1, 1), name="z")(again(x))
        x = again(nn.Conv(1, (1, 1), name="b")(x))
        return nn.Conv(self.colors, (1, 1), name="a")(x)


def test_layer_outputs_are_in_the_order_of_the_calls() -> None:
    variables = dict(OutOfOrder().init(jax.random.key(0), batch()["inputs"]))
    before = create_state(apply_function(OutOfOrder()), variables, OPTIMIZER)
    outputs = jax.jit(partial(layer_outputs, train=False))(before, batch()["inputs"])
    assert list(outputs) == ["z", "b", "again", "logits"]
