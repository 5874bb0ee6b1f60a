from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from jaxcolor import oklab
from jaxcolor.photo.chroma import LEVELS, SIDE, cells, decode, levels, make_chroma, shrink
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
from jaxcolor.segmentation.preprocess import MEAN, STANDARD_DEVIATION
from jaxcolor.training.state import TrainState, create_state


class Small(nn.Module):
    """The parts of a PhotoNet, with one layer each."""

    bins: int

    def setup(self) -> None:
        self.backbone = nn.Conv(4, (4, 4), strides=4)
        self.classifier = nn.Conv(self.bins, (1, 1))

    def __call__(self, x: jax.Array, *, train: bool = False, valid: Any = None) -> jax.Array:
        return self.decode(self.features(x))

    def features(self, x: jax.Array) -> list[jax.Array]:
        return [self.backbone(x)]

    def decode(self, features: list[jax.Array], *, train: bool = False, valid: Any = None) -> jax.Array:
        return self.classifier(features[0])


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
    after, sums = train_step(tables, state, batch)
    part = state.params["classifier"]
    loss, gradients = jax.value_and_grad(plain_loss)(part, tables, state, images[:2])
    np.testing.assert_allclose(sums["loss"] / sums["count"], loss, rtol=1e-5)
    expected = jax.tree.map(lambda value, gradient: value - 0.1 * gradient, part, gradients)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), after.params["classifier"], expected
    )
    jax.tree.map(np.testing.assert_array_equal, after.params["backbone"], state.params["backbone"])
    assert after.average is not None


def test_evaluation_counts_valid_images_alone(tables: Tables, state: TrainState, images: jax.Array) -> None:
    padding = {"images": images, "valid": jnp.asarray([1.0, 1.0, 0.0])}
    sums = evaluate_step(tables, 0.5, state, padding)
    alone = evaluate_step(tables, 0.5, state, {"images": images[:2], "valid": None})
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), sums, alone)
    assert sums["count"] == 2
    # The gray image has the lightness of the original in all channels.
    lab = np.asarray(oklab.from_srgb(np.asarray(images[:2], np.float64) / 255))
    gray = oklab.gray(lab[..., :1])
    errors = np.square(gray - np.asarray(images[:2]) / 255).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(sums["gray"], errors.sum(), rtol=1e-3)
    chroma = np.linalg.norm(np.asarray(shrink(jnp.asarray(lab), 4))[..., 1:], axis=-1)
    np.testing.assert_allclose(sums["true_colors"], chroma.mean(axis=(1, 2)).sum(), rtol=1e-3)


def test_prediction_decodes_the_logits(tables: Tables, state: TrainState) -> None:
    lightness = jnp.asarray(np.random.default_rng(2).random((1, 8, 8), np.float32))
    logits = with_prior(state.apply_fn(state.averaged, network_input(lightness)), lightness, tables.log_prior)
    for vividness in (0.0, 0.7):
        np.testing.assert_allclose(
            predict_chroma(tables, state, lightness, vividness),
            decode(logits, tables.centers, tables.weights, vividness),
            atol=1e-6,
        )
