import re
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.traverse_util import flatten_dict

from jaxcolor.data.label_maps import VOID
from jaxcolor.layers.resize import interpolation
from jaxcolor.models.segmentation import DeepLabV3, Part
from jaxcolor.segmentation.losses import make_loss
from jaxcolor.segmentation.task import (
    FROZEN,
    TRAINABLE,
    batch_loss,
    evaluate_step,
    features_after,
    network_input,
    predict,
    train_step,
)
from jaxcolor.training import compilation
from jaxcolor.training.state import TrainState, create_state

CLASSES = 3
WEIGHTS = jnp.array([1.0, 2.0, 0.5])
LOSS = make_loss(["cross-entropy"], WEIGHTS)
RATE = 0.1
# Tests that use this optimizer and this function share compiled programs.
SGD = optax.sgd(RATE)
STEP = jax.jit(train_step, static_argnums=(0, 1, 2, 3))
FEATURES = jax.jit(features_after, static_argnums=0)


@pytest.fixture(scope="module")
def model(tiny: str) -> DeepLabV3:
    return DeepLabV3(tiny, CLASSES, 16)


@pytest.fixture(scope="module")
def variables(model: DeepLabV3) -> dict:
    return initialize(model)


def initialize(model: DeepLabV3) -> dict[str, Any]:
    return dict(jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 32, 48, 3))))


def make_state(model: DeepLabV3, variables: dict, train: Part) -> TrainState:
    return create_state(model.apply, variables, SGD, TRAINABLE[train])


def make_batch(images: int = 3, filled: int = 0) -> dict[str, Any]:
    """Return a batch of random images and label maps. The last `filled` images are padding."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, (images, 32, 48)).astype(np.uint8)
    labels[:, :3] = VOID
    inputs = rng.integers(0, 256, (images, 32, 48, 3)).astype(np.uint8)
    valid = np.ones(images, np.float32)
    if filled:
        inputs[-filled:], labels[-filled:], valid[-filled:] = 0, VOID, 0
    return {"inputs": inputs, "labels": labels, "valid": valid}


@pytest.mark.parametrize("train", ["last", "head", "all"])
def test_frozen_leaves_keep_every_bit_and_trainable_ones_change(
    model: DeepLabV3, variables: dict, train: Part
) -> None:
    # Adding 0 to a weight of −0.0 would change its sign.
    kernel = variables["params"]["backbone"]["stem"]["kernel"].at[0, 0, 0, 0].set(-0.0)
    stem = variables["params"]["backbone"]["stem"] | {"kernel": kernel}
    backbone = variables["params"]["backbone"] | {"stem": stem}
    variables = variables | {"params": variables["params"] | {"backbone": backbone}}
    state, rule = make_state(model, variables, train), TRAINABLE[train]
    after = state
    for _ in range(2):
        after, _ = STEP(train, "images", 0, LOSS, after, make_batch())
    assert rule.fingerprint(after.variables) == rule.fingerprint(state.variables)
    before = flatten_dict(state.variables)
    for path, leaf in flatten_dict(after.variables).items():
        assert np.any(leaf != before[path]) == rule(path[1:]), path
    assert after.step == 2


def test_a_step_moves_the_last_layer_along_the_gradient_of_the_plain_loss(
    model: DeepLabV3, variables: dict
) -> None:
    state = make_state(model, variables, "last")
    batch = make_batch()
    after, sums = STEP("last", "images", 0, LOSS, state, batch)
    (features,) = FEATURES("head", state, batch["inputs"])

    @jax.jit
    @jax.value_and_grad
    def loss(kernel: jax.Array) -> jax.Array:
        logits = features @ kernel + variables["params"]["head"]["classifier"]["bias"]
        large = jax.image.resize(logits, (3, 32, 48, CLASSES), "bilinear", antialias=False)
        counted = jnp.where(batch["labels"] == VOID, 0, WEIGHTS[jnp.minimum(batch["labels"], 2)])
        labels = jnp.minimum(batch["labels"], 2)
        losses = optax.softmax_cross_entropy_with_integer_labels(large, labels)
        return (losses * counted).sum() / counted.sum()

    kernel = variables["params"]["head"]["classifier"]["kernel"]
    expected, gradient = loss(kernel[0, 0])
    assert sums["loss"] / sums["count"] == pytest.approx(float(expected), rel=1e-5)
    counts = np.bincount(batch["labels"].ravel(), minlength=256)
    assert sums["count"] == counts[0] + 2 * counts[1] + 0.5 * counts[2]
    moved = after.params["head"]["classifier"]["kernel"][0, 0]
    np.testing.assert_allclose(kernel[0, 0] - moved, RATE * gradient, atol=1e-6)


def test_a_batch_that_is_all_void_has_no_loss_and_changes_nothing(model: DeepLabV3, variables: dict) -> None:
    state = make_state(model, variables, "last")
    batch = make_batch()
    batch["labels"][:] = VOID
    after, sums = STEP("last", "images", 0, LOSS, state, batch)
    assert (sums["loss"], sums["count"]) == (0, 0)
    jax.tree.map(np.testing.assert_array_equal, after.params, state.params)


@pytest.mark.parametrize("train", ["last", "head"])
def test_training_on_features_equals_training_on_images(
    model: DeepLabV3, variables: dict, train: Part
) -> None:
    after = FROZEN[train]
    state, batch = make_state(model, variables, train), make_batch()
    features = batch | {"inputs": FEATURES(after, state, batch["inputs"])}
    ours, our_sums = STEP(train, after, 0, LOSS, state, features)
    plain, sums = STEP(train, "images", 0, LOSS, state, batch)
    assert our_sums["loss"] == pytest.approx(float(sums["loss"]), rel=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), ours.variables, plain.variables)


def test_images_are_normalized_and_cached_features_become_float32() -> None:
    images = jnp.asarray([[[[0, 255, 51]]]], jnp.uint8)
    expected = [(0 - 0.485) / 0.229, (1 - 0.456) / 0.224, (0.2 - 0.406) / 0.225]
    seen = np.asarray(network_input({"inputs": images}, "images"))
    np.testing.assert_allclose(seen[0, 0, 0], expected, rtol=1e-5)
    for dtype in (jnp.float16, jnp.bfloat16):
        features = jnp.asarray([[[[1.5, -0.25]]]], dtype)
        (found,) = network_input({"inputs": (features,)}, "backbone")
        assert found.dtype == jnp.float32
        assert found.ravel().tolist() == [1.5, -0.25]


def test_the_contents_of_padding_change_nothing(model: DeepLabV3, variables: dict) -> None:
    state = make_state(model, variables, "head")
    batch = make_batch(3, filled=1)
    other = batch | {"inputs": batch["inputs"].copy()}
    other["inputs"][2] = 200
    ours, sums = STEP("head", "images", 0, LOSS, state, batch)
    expected, expected_sums = STEP("head", "images", 0, LOSS, state, other)
    assert sums["loss"] == pytest.approx(float(expected_sums["loss"]), rel=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), ours.variables, expected.variables)
    used, _ = STEP("head", "images", 0, LOSS, state, other | {"valid": np.ones(3, np.float32)})
    norm = [one.batch_stats["head"]["conv"]["norm"]["mean"] for one in (used, expected)]
    assert np.abs(norm[0] - norm[1]).max() > 1e-4


def test_evaluation_counts_every_pixel_once(model: DeepLabV3, variables: dict) -> None:
    state = make_state(model, variables, "last")
    batch = make_batch(3, filled=1)
    rows, columns = interpolation(32, 2), interpolation(48, 3)
    batch |= {"rows": np.stack([rows] * 3), "columns": np.stack([columns] * 3)}
    sums = jax.jit(evaluate_step, static_argnums=(0, 1))("images", 1, state, batch)
    confusion = np.asarray(sums["confusion"])
    assert confusion.shape == (3, CLASSES, CLASSES)
    assert confusion.sum() == (batch["labels"] != VOID).sum() == sums["count"].sum()
    assert (confusion[2].sum(), sums["count"][2], sums["loss"][2]) == (0, 0, 0)
    prediction = jax.jit(predict)
    for image, labels, found in zip(batch["inputs"][:2], batch["labels"], confusion, strict=False):
        predicted = np.asarray(prediction(state, image[None], rows, columns))
        expected = np.zeros((CLASSES, CLASSES))
        np.add.at(expected, (labels[labels != VOID], predicted[labels != VOID]), 1)
        np.testing.assert_array_equal(found, expected)


def test_the_train_step_compiles_for_a_gpu(
    model: DeepLabV3, variables: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = make_state(model, variables, "head")

    def step(params: dict, opt_state: Any, batch: dict) -> tuple:
        before = state.replace(params=params, opt_state=opt_state)
        after, sums = train_step("head", "images", 0, LOSS, before, batch)
        return after.params, after.opt_state, after.batch_stats, sums

    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    exported = jax.export.export(jax.jit(step), platforms=["cuda"])(
        state.params, state.opt_state, make_batch()
    )
    assert exported.platforms == ("cuda",)
    # A dilated convolution is one convolution there; on a CPU it is a sum of products, one per tap.
    dilations = re.findall(r"rhs_dilate = \[(\d+), \1\]", exported.mlir_module())
    assert {"6", "12", "18"} <= set(dilations)


@pytest.mark.shipped
def test_a_train_step_with_the_options_of_users_equals_the_plain_one(
    model: DeepLabV3, variables: dict
) -> None:
    state = make_state(model, variables, "head")
    shipped = compilation.jit(partial(train_step, "head", "images", 0, LOSS))
    (ours, sums), (plain, expected) = (
        shipped(state, make_batch()), STEP("head", "images", 0, LOSS, state, make_batch())
    )  # fmt: skip
    assert float(sums["loss"]) == pytest.approx(float(expected["loss"]), rel=1e-4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), ours.params, plain.params)


@pytest.mark.parametrize(("train", "parts"), [
    ("last", {"classifier"}),
    ("head", {"classifier", "head"}),
    ("all", {"classifier", "head", "backbone", "aux_head"}),
])  # fmt: skip
def test_rules_cover_the_parts_of_the_network(tiny: str, train: Part, parts: set[str]) -> None:
    model = DeepLabV3(tiny, CLASSES, 16, aux=True)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    for collection in ("params", "batch_stats"):
        for path in flatten_dict(shapes[collection]):
            part = "classifier" if path[:2] == ("head", "classifier") else path[0]
            assert TRAINABLE[train](path) == (part in parts), path


def test_the_loss_of_the_auxiliary_head_has_weight_one_half(tiny: str) -> None:
    model = DeepLabV3(tiny, CLASSES, 16, aux=True)
    state = make_state(model, initialize(model), "all")
    seen: list[jax.Array] = []

    def record(logits: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
        value, weight = LOSS(logits, labels)
        seen.append(value)
        return value, weight

    @jax.jit
    def run(state: TrainState, batch: dict) -> tuple[jax.Array, ...]:
        loss, _ = batch_loss(state.params, "all", "images", 0, record, state, batch)
        return loss, *seen

    loss, main, aux = map(float, run(state, make_batch()))
    assert loss == pytest.approx(main + 0.5 * aux, rel=1e-6)
    assert abs(aux - main) > 0.01 * abs(main)


def test_dropout_changes_with_the_step_and_the_seed(model: DeepLabV3, variables: dict) -> None:
    state = make_state(model, variables, "head")

    def loss(seed: int, step: int) -> float:
        before = state.replace(step=jnp.asarray(step, jnp.int32))
        _, sums = STEP("head", "images", seed, LOSS, before, make_batch())
        return float(sums["loss"])

    first = loss(0, 0)
    assert loss(0, 0) == first
    assert loss(0, 1) != first
    assert loss(1, 0) != first


def test_confusion_has_a_row_per_true_class() -> None:
    def constant(variables: dict, x: tuple[jax.Array], after: str) -> jax.Array:
        return jnp.broadcast_to(jnp.asarray([0.0, 5.0, 0.0]), (*x[0].shape[:3], 3))

    state = create_state(constant, {"params": {}}, optax.identity())
    labels = np.asarray([[[0, 1], [VOID, 2]]], np.uint8)
    matrices = np.stack([interpolation(2, 2)])
    batch = {
        "inputs": (np.zeros((1, 2, 2, 4), np.float32),),
        "labels": labels,
        "rows": matrices,
        "columns": matrices,
    }
    sums = evaluate_step("backbone", 1, state, jax.tree.map(jnp.asarray, batch))
    np.testing.assert_array_equal(sums["confusion"][0], [[0, 1, 0], [0, 1, 0], [0, 1, 0]])
    wrong, right = np.log(np.exp(5) + 2), np.log(np.exp(5) + 2) - 5
    assert float(sums["loss"][0]) == pytest.approx(2 * wrong + right, rel=1e-5)
    assert float(sums["count"][0]) == 3
