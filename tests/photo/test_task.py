from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax.traverse_util import flatten_dict

from jaxcolor import oklab
from jaxcolor.models.efficientnet import STAGES
from jaxcolor.models.photo import PhotoNet
from jaxcolor.photo.chroma import LEVELS, SIDE, cells, levels, make_chroma, shrink
from jaxcolor.photo.task import (
    TRAINABLE,
    Tables,
    evaluate_step,
    make_tables,
    network_input,
    predict_chroma,
    train_step,
    with_prior,
)
from jaxcolor.pretrained.imagenet import MEAN, STANDARD_DEVIATION
from jaxcolor.training.state import TrainState, create_state


class Small(nn.Module):
    """The parts of a PhotoNet, with one layer each."""

    bins: int

    def setup(self) -> None:
        self.backbone = nn.Conv(4, (4, 4), strides=4)
        self.classifier = nn.Conv(self.bins, (1, 1))

    def __call__(self, x: jax.Array, *, train: bool = False, valid: Any = None) -> jax.Array:
        return self.classifier(self.backbone(x))


@pytest.fixture
def tables() -> Tables:
    rng = np.random.default_rng(0)
    counts = np.zeros((LEVELS, SIDE * SIDE), np.int64)
    around = (np.arange(-2, 3)[:, None] * SIDE + np.arange(-2, 3)).ravel() + SIDE * SIDE // 2
    counts[:, around] = rng.integers(100, 1000, (LEVELS, len(around)))
    return make_tables(make_chroma(counts), rebalance=0.5)


@pytest.fixture
def state(tables: Tables) -> TrainState:
    model = Small(len(tables.weights))
    variables = model.init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    return create_state(
        model.apply, {"batch_stats": {}, **variables}, optax.sgd(0.1), TRAINABLE["decoder"], decay=0.5
    )


@pytest.fixture
def images() -> jax.Array:
    return jnp.asarray(np.random.default_rng(1).integers(0, 256, (3, 8, 8, 3), np.uint8))


def test_the_network_sees_the_gray_image_of_the_same_lightness() -> None:
    gray = np.random.default_rng(0).integers(0, 256, (1, 4, 4), np.uint8)
    seen = network_input(oklab.lightness_of_gray(jnp.asarray(gray, jnp.float32) / 255))
    expected = (gray[..., None] / 255 - MEAN) / STANDARD_DEVIATION
    np.testing.assert_allclose(seen, expected, atol=1e-3)


def test_the_prior_is_that_of_the_mean_lightness(tables: Tables) -> None:
    lightness = np.random.default_rng(0).random((1, 8, 4), np.float32)
    logits = with_prior(jnp.zeros((1, 2, 1, len(tables.weights))), jnp.asarray(lightness), tables.log_prior)
    for row in range(2):
        level = int(lightness[0, 4 * row : 4 * row + 4].mean() * LEVELS)
        np.testing.assert_allclose(logits[0, row, 0], tables.log_prior[level])


def plain_loss(part: Any, tables: Tables, state: TrainState, images: jax.Array) -> jax.Array:
    """The mean of −w log p(bin) over all squares, with a loop over them."""
    lab = oklab.from_srgb(jnp.asarray(images, jnp.float32) / 255)
    params = {"params": state.params | {"classifier": part}}
    logits = state.apply_fn(params, network_input(lab[..., 0]))
    small = shrink(lab, 4)
    total, weights = jnp.zeros(()), jnp.zeros(())
    for place in np.ndindex(small.shape[:3]):
        label = tables.nearest[cells(small)[place]]
        of_place = logits[place] + tables.log_prior[levels(small[..., 0])[place]]
        total -= tables.weights[label] * jax.nn.log_softmax(of_place)[label]
        weights += tables.weights[label]
    return total / weights


def test_a_train_step_equals_the_plain_definition(
    tables: Tables, state: TrainState, images: jax.Array
) -> None:
    # The last image is padding.
    batch = {"images": images, "valid": jnp.asarray([1.0, 1.0, 0.0])}
    after, sums = jax.jit(partial(train_step, tables, False))(state, batch)
    part = state.params["classifier"]
    loss, gradients = jax.jit(jax.value_and_grad(plain_loss))(part, tables, state, images[:2])
    np.testing.assert_allclose(sums["loss"] / sums["count"], loss, rtol=1e-5)
    expected = jax.tree.map(lambda value, gradient: value - 0.1 * gradient, part, gradients)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), after.params["classifier"], expected
    )
    jax.tree.map(np.testing.assert_array_equal, after.params["backbone"], state.params["backbone"])


def test_evaluation_counts_valid_images_alone(tables: Tables, state: TrainState, images: jax.Array) -> None:
    padding = {"images": images, "valid": jnp.asarray([1.0, 1.0, 0.0])}
    evaluate = jax.jit(partial(evaluate_step, tables, 0.5))
    sums = evaluate(state, padding)
    alone = evaluate(state, {"images": images[:2], "valid": None})
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), sums, alone)
    assert sums["count"] == 2
    # The gray image has the lightness of the original in all channels.
    lab = np.asarray(oklab.from_srgb(np.asarray(images[:2], np.float64) / 255))
    gray = oklab.gray(lab[..., :1])
    errors = np.square(gray - np.asarray(images[:2]) / 255).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(sums["gray"], errors.sum(), rtol=1e-3)
    chroma = np.linalg.norm(np.asarray(shrink(jnp.asarray(lab), 4))[..., 1:], axis=-1)
    np.testing.assert_allclose(sums["true_colors"], chroma.mean(axis=(1, 2)).sum(), rtol=1e-3)


def test_prediction_is_the_mean_color_or_the_most_likely_one(tables: Tables, state: TrainState) -> None:
    lightness = jnp.asarray(np.random.default_rng(2).random((1, 8, 8), np.float32))
    logits = np.asarray(state.apply_fn(state.averaged, network_input(lightness)))
    mean = np.asarray(lightness).reshape(1, 2, 4, 2, 4).mean(axis=(2, 4))
    predict = jax.jit(partial(predict_chroma, tables))
    safe, vivid = (np.asarray(predict(state, lightness, dial)) for dial in (0.0, 1.0))
    for place in np.ndindex(1, 2, 2):
        total = logits[place] + tables.log_prior[int(mean[place] * LEVELS)]
        np.testing.assert_allclose(vivid[place], tables.centers[total.argmax()], atol=1e-3)
        probabilities = np.exp(total) / tables.weights  # rare colors are as rare as they are
        expected = probabilities @ tables.centers / probabilities.sum()
        np.testing.assert_allclose(safe[place], expected, atol=1e-5)


def test_evaluation_scores_the_colors_of_both_dials(tables: Tables, state: TrainState) -> None:
    """One square per image, so that nothing is interpolated."""
    images = jnp.asarray(np.random.default_rng(3).integers(60, 196, (2, 4, 4, 3), np.uint8))
    sums = jax.jit(partial(evaluate_step, tables, 1.0))(state, {"images": images, "valid": None})
    lab = jax.jit(oklab.from_srgb)(images / 255)
    predict = jax.jit(partial(predict_chroma, tables))
    for name, dial in (("safe", 0.0), ("vivid", 1.0)):
        chroma = predict(state, lab[..., 0], dial)
        colors = jnp.concatenate([lab[..., :1], jnp.broadcast_to(chroma, (2, 4, 4, 2))], axis=-1)
        errors = jnp.square(oklab.to_srgb(colors).clip(0, 1) - images / 255).mean(axis=(1, 2, 3))
        np.testing.assert_allclose(sums[name], errors.sum(), rtol=1e-4)
        if name == "vivid":
            np.testing.assert_allclose(sums["colors"], jnp.linalg.norm(chroma, axis=-1).sum(), rtol=1e-4)
    assert abs(sums["safe"] - sums["vivid"]) > 1e-3
    loss, weight = (
        jax.jit(plain_loss)(state.params["classifier"], tables, state, images),
        sum(tables.weights[tables.nearest[cells(shrink(lab, 4))]].ravel()),
    )
    np.testing.assert_allclose(sums["loss"], loss * weight, rtol=1e-4)
    np.testing.assert_allclose(sums["weight"], weight, rtol=1e-5)


def test_the_rules_cover_the_parts_of_the_network() -> None:
    model = PhotoNet(bins=5, width=8)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    paths = set(flatten_dict(shapes["params"]))
    backbone = {path for path in paths if path[0] == "backbone"}
    blocks = {path for path in backbone if path[1].startswith("block")}
    upper = {path for path in blocks if int(path[1].removeprefix("block")) >= 5}
    found = {name: {path for path in paths if rule(path)} for name, rule in TRAINABLE.items()}
    assert found == {"decoder": paths - backbone, "upper": paths - backbone | upper, "all": paths}
    # Blocks 0 to 4 have strides of up to 8, and block 5 is the first with a stride of 16.
    ends = np.cumsum([stage.blocks for stage in STAGES])
    strides = 2 * np.cumprod([stage.stride for stage in STAGES])
    assert strides[ends <= 5].max() == 8
    assert strides[ends > 5].min() == 16
