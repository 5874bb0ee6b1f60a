import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxcolor.segmentation.frozen import fingerprint, freeze, is_trained

from jaxcolor.data.examples import VOID
from jaxcolor.models.deeplabv3 import DeepLabV3, Given, Trained, interpolation
from jaxcolor.segmentation.task import cross_entropy_sum, evaluate_step, features_of, predict, train_step
from jaxcolor.training.state import TrainState, create_state
from jaxcolor.trees import flatten

CLASSES = 3
WEIGHTS = jnp.array([1.0, 2.0, 0.5])


@pytest.fixture(scope="module")
def model() -> DeepLabV3:
    return DeepLabV3("efficientnet-lite0", CLASSES, 16)


@pytest.fixture(scope="module")
def variables(model: DeepLabV3) -> dict:
    return jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 32, 48, 3)))


def make_state(model: DeepLabV3, variables: dict, train: Trained, rate: float = 0.1) -> TrainState:
    return create_state(model.apply, variables, freeze(optax.adam(rate), variables["params"], train))


def make_batch(images: int = 3, filled: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, (images, 32, 48)).astype(np.uint8)
    labels[:, :3] = VOID
    inputs = rng.integers(0, 256, (images, 32, 48, 3)).astype(np.uint8)
    mask = np.ones(images, np.float32)
    if filled:
        inputs[-filled:], labels[-filled:], mask[-filled:] = 0, VOID, 0
    return {"inputs": inputs, "labels": labels, "mask": mask}


def with_interpolations(batch: dict[str, Any]) -> dict[str, Any]:
    count = len(batch["labels"])
    rows, columns = interpolation(32, 2), interpolation(48, 3)
    return batch | {"rows": np.stack([rows] * count), "columns": np.stack([columns] * count)}


def test_cross_entropy_on_hand_computed_values() -> None:
    logits = jnp.log(jnp.array([[[[0.2, 0.3, 0.5], [0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]]]))
    labels = jnp.array([[[1, 0, VOID]]])
    total, weight = cross_entropy_sum(logits, labels, WEIGHTS)
    assert total == pytest.approx(-2 * np.log(0.3) - np.log(0.7), rel=1e-5)
    assert weight == 3
    gradient = jax.grad(lambda x: cross_entropy_sum(x, labels, WEIGHTS)[0])(logits)
    assert not np.any(gradient[0, 0, 2])


@pytest.mark.parametrize("train", ["last", "head", "all"])
def test_frozen_means_every_bit(model: DeepLabV3, variables: dict, train: Trained) -> None:
    # A weight of -0.0 would lose its sign if anything, even 0, were added to it.
    kernel = variables["params"]["backbone"]["stem"]["kernel"].at[0, 0, 0, 0].set(-0.0)
    stem = variables["params"]["backbone"]["stem"] | {"kernel": kernel}
    backbone = variables["params"]["backbone"] | {"stem": stem}
    variables = variables | {"params": variables["params"] | {"backbone": backbone}}
    state = make_state(model, variables, train)
    step = jax.jit(train_step, static_argnums=(0, 1, 2))
    after = state
    for _ in range(2):
        after, sums = step(train, "images", 0, WEIGHTS, after, make_batch())
    assert fingerprint(after.variables, train) == fingerprint(state.variables, train)
    for path, leaf in flatten(after.params).items():
        moved = np.any(leaf != flatten(state.params)[path])
        assert moved == is_trained(path, train), path
    assert after.step == 2
    assert np.isfinite(sums["loss"])


def test_the_gradient_of_the_last_layer_is_that_of_the_plain_loss(model: DeepLabV3, variables: dict) -> None:
    state = create_state(model.apply, variables, freeze(optax.sgd(1.0), variables["params"], "last"))
    batch = make_batch()
    after, sums = jax.jit(train_step, static_argnums=(0, 1, 2))("last", "images", 0, WEIGHTS, state, batch)

    def loss(kernel: jax.Array) -> jax.Array:
        features = features_of("head", state, jnp.asarray(batch["inputs"]))
        logits = features @ kernel + variables["params"]["head"]["classifier"]["bias"]
        large = jax.image.resize(logits, (3, 32, 48, CLASSES), "bilinear", antialias=False)
        counted = jnp.where(batch["labels"] == VOID, 0, WEIGHTS[jnp.minimum(batch["labels"], 2)])
        labels = jnp.minimum(batch["labels"], 2)
        losses = optax.softmax_cross_entropy_with_integer_labels(large, labels)
        return (losses * counted).sum() / counted.sum()

    kernel = variables["params"]["head"]["classifier"]["kernel"]
    expected, gradient = jax.value_and_grad(loss)(kernel[0, 0])
    assert sums["loss"] / sums["count"] == pytest.approx(float(expected), rel=1e-5)
    moved = after.params["head"]["classifier"]["kernel"][0, 0]
    np.testing.assert_allclose(kernel[0, 0] - moved, gradient, atol=1e-5)


def test_a_batch_of_void_alone_has_no_loss_and_moves_nothing(model: DeepLabV3, variables: dict) -> None:
    state = create_state(model.apply, variables, freeze(optax.sgd(1.0), variables["params"], "last"))
    batch = make_batch()
    batch["labels"][:] = VOID
    after, sums = jax.jit(train_step, static_argnums=(0, 1, 2))("last", "images", 0, WEIGHTS, state, batch)
    assert (sums["loss"], sums["count"]) == (0, 0)
    jax.tree.map(np.testing.assert_array_equal, after.params, state.params)


@pytest.mark.parametrize("train", ["last", "head"])
def test_training_on_features_is_training_on_images(
    model: DeepLabV3, variables: dict, train: Trained
) -> None:
    behind: Given = "head" if train == "last" else "backbone"
    state = create_state(model.apply, variables, freeze(optax.sgd(0.01), variables["params"], train))
    batch = make_batch()
    features = batch | {"inputs": features_of(behind, state, jnp.asarray(batch["inputs"]))}
    step = jax.jit(train_step, static_argnums=(0, 1, 2))
    ours, our_sums = step(train, behind, 0, WEIGHTS, state, features)
    plain, sums = step(train, "images", 0, WEIGHTS, state, batch)
    assert our_sums["loss"] == pytest.approx(float(sums["loss"]), rel=1e-4)
    kernels = [one.params["head"]["classifier"]["kernel"] for one in (ours, plain, state)]
    assert np.abs(kernels[0] - kernels[2]).max() > 1e-4
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), ours.variables, plain.variables)


def test_images_that_fill_up_a_batch_change_nothing(model: DeepLabV3, variables: dict) -> None:
    state = make_state(model, variables, "last", 0.001)
    step = jax.jit(train_step, static_argnums=(0, 1, 2))
    filled = make_batch(3, filled=1)
    whole = {name: array[:2] for name, array in filled.items()}
    ours, sums = step("last", "images", 0, WEIGHTS, state, filled)
    expected, expected_sums = step("last", "images", 0, WEIGHTS, state, whole)
    assert sums["loss"] == pytest.approx(float(expected_sums["loss"]), rel=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), ours.params, expected.params)


def test_evaluation_counts_every_pixel_once(model: DeepLabV3, variables: dict) -> None:
    state = make_state(model, variables, "last")
    batch = with_interpolations(make_batch(3, filled=1))
    sums = jax.jit(evaluate_step, static_argnums=0)("images", state, batch)
    confusion = np.asarray(sums["confusion"]).sum(0)
    assert sums["confusion"].shape == (3, CLASSES, CLASSES)
    assert confusion.sum() == (batch["labels"] != VOID).sum() == sums["count"].sum()
    expected = np.zeros((CLASSES, CLASSES))
    for image, labels in zip(batch["inputs"][:2], batch["labels"], strict=False):
        matrices = jnp.asarray(batch["rows"][0]), jnp.asarray(batch["columns"][0])
        predicted = np.asarray(predict(state, jnp.asarray(image[None]), *matrices))
        np.add.at(expected, (labels[labels != VOID], predicted[labels != VOID]), 1)
    np.testing.assert_array_equal(confusion, expected)


def test_the_train_step_compiles_for_a_gpu(
    model: DeepLabV3, variables: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = make_state(model, variables, "head")

    def step(params: dict, opt_state: Any, batch: dict) -> tuple:
        before = state.replace(params=params, opt_state=opt_state)
        after, sums = train_step("head", "images", 0, WEIGHTS, before, batch)
        return after.params, after.opt_state, after.batch_stats, sums

    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    exported = jax.export.export(jax.jit(step), platforms=["cuda"])(
        state.params, state.opt_state, make_batch()
    )
    assert exported.platforms == ("cuda",)
    # Depthwise convolutions are one of as many groups there, on a CPU a sum of products.
    groups = {int(number) for number in re.findall(r"feature_group_count = (\d+)", exported.mlir_module())}
    assert max(groups) > 100
