"""Losses on logits as they are, and on logits that are noted as computed in squares."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_arrays import labels as random_labels
from random_arrays import normal

from jaxcolor.layers.conv.squares import cut
from jaxcolor.layers.fusion import note_source
from jaxcolor.layers.losses import argmax, cross_entropy, plain_cross_entropy, score
from jaxcolor.training import compilation

LAYOUTS: list[Callable[[jax.Array], jax.Array]] = [
    lambda x: x,
    lambda x: note_source(x + 0, cut(x, 0)),
    lambda x: note_source(x + 0, cut(x, 1)),
]
LABELS = random_labels(1, 5, 3, 4, 6)
WEIGHTS = jnp.asarray([1.0, 0.0, 0.5])


def in_each_layout(function: Callable[[jax.Array], Any], logits: jax.Array) -> list[Any]:
    """Apply a function to the logits in each layout, in one program."""
    return compilation.jit(lambda x: [function(layout(x)) for layout in LAYOUTS])(logits)


@pytest.mark.usefixtures("each_option")
@pytest.mark.parametrize(
    "loss",
    [plain_cross_entropy, cross_entropy, lambda *args: score(*args)[0]],
    ids=["plain", "fast", "score"],
)
def test_cross_entropy_on_hand_computed_values(loss: Callable) -> None:
    # Two colors with probabilities 1/4 and 3/4, or even; an image of four pixels, and one of padding.
    odds = jnp.asarray([[[1.0, 3.0], [1.0, 1.0]], [[3.0, 1.0], [1.0, 3.0]]])
    logits = jnp.log(jnp.stack([odds, 100 * odds]))
    labels = jnp.asarray([[[1, 0], [1, 1]], [[1, 1], [0, 0]]], jnp.uint8)
    expected = -(np.log(3 / 4) + np.log(1 / 2) + np.log(1 / 4) + np.log(3 / 4)) / 4
    for value in in_each_layout(lambda x: loss(x, labels, jnp.asarray([2.0, 0.0])), logits):
        assert float(value) == pytest.approx(2 * expected, rel=1e-6)


@pytest.mark.usefixtures("each_option")
def test_cross_entropy_equals_the_plain_one_with_its_gradient() -> None:
    """Also for large logits, and when the loss is scaled."""
    logits = 50 * normal(0, 3, 4, 6, 5)

    def with_gradient(loss: Callable) -> Callable:
        return jax.value_and_grad(lambda x: 3 * loss(x, LABELS, WEIGHTS))

    def compute(x: jax.Array) -> Any:
        fast = [
            jax.value_and_grad(lambda x, f=layout: 3 * cross_entropy(f(x), LABELS, WEIGHTS))(x)
            for layout in LAYOUTS
        ]
        return fast, with_gradient(plain_cross_entropy)(x)

    found, (expected, expected_gradient) = compilation.jit(compute)(logits)
    assert (jnp.abs(expected_gradient).sum(axis=(1, 2, 3)) > 0).tolist() == [True, False, True]
    for value, gradient in found:
        assert float(value) == pytest.approx(float(expected), rel=1e-6)
        np.testing.assert_allclose(gradient, expected_gradient, atol=1e-6)


def test_the_gradient_on_hand_computed_values() -> None:
    """It is weight / pixels · (softmax − one-hot)."""
    logits = jnp.log(jnp.asarray([1.0, 3.0])) * jnp.ones((1, 2, 2, 1))
    labels = jnp.asarray([[[0, 1], [1, 1]]], jnp.uint8)
    gradient = jax.jit(jax.grad(lambda x: cross_entropy(x, labels, jnp.asarray([8.0]))))(logits)
    expected = 2 * np.array([[-0.75, 0.75]] + 3 * [[0.25, -0.25]])
    np.testing.assert_allclose(gradient[0].reshape(4, 2), expected, rtol=1e-6)


@pytest.mark.usefixtures("each_option")
@pytest.mark.parametrize("values", [3, 100])
def test_score_is_the_loss_and_the_accuracy(values: int) -> None:
    """Also if many classes have the largest logit: the first one counts."""
    logits = random_labels(0, values, 3, 4, 6, 5).astype(jnp.float32)
    shares = (np.asarray(logits).argmax(-1) == np.asarray(LABELS)).mean(axis=(1, 2))
    loss = float(plain_cross_entropy(logits, LABELS, WEIGHTS))
    for found in in_each_layout(lambda x: score(x, LABELS, WEIGHTS), logits):
        assert [float(value) for value in found] == pytest.approx([loss, float(shares @ WEIGHTS)], rel=1e-6)


@pytest.mark.usefixtures("each_option")
def test_argmax_takes_the_first_of_equal_logits() -> None:
    logits = random_labels(0, 9, 3, 4, 6, 256).astype(jnp.float32)
    for classes in in_each_layout(argmax, logits):
        assert classes.dtype == jnp.uint8
        np.testing.assert_array_equal(classes, np.asarray(logits).argmax(-1))


def test_squares_are_read_in_place_of_the_logits() -> None:
    """Other values in the squares show which of the two is read."""
    logits = normal(0, 3, 4, 6, 5)

    @jax.jit
    def of_other_squares(x: jax.Array) -> Any:
        noted = note_source(x + 0, cut(-x, 1))
        return argmax(noted), (cross_entropy(noted, LABELS, WEIGHTS), *score(noted, LABELS, WEIGHTS))

    classes, numbers = of_other_squares(logits)
    np.testing.assert_array_equal(classes, np.asarray(-logits).argmax(-1))
    loss, accuracy = score(-logits, LABELS, WEIGHTS)
    np.testing.assert_allclose(numbers, [loss, loss, accuracy], rtol=1e-6)


def test_losses_of_bfloat16_logits_are_float32() -> None:
    logits = normal(0, 3, 4, 6, 5).astype(jnp.bfloat16)
    expected = plain_cross_entropy(logits.astype(jnp.float32), LABELS, WEIGHTS)
    for loss in (plain_cross_entropy, cross_entropy, lambda *args: score(*args)[0]):
        value, gradient = jax.jit(jax.value_and_grad(lambda x, f=loss: f(x, LABELS, WEIGHTS)))(logits)
        assert (value.dtype, gradient.dtype) == (jnp.float32, jnp.bfloat16)
        assert float(value) == pytest.approx(float(expected), rel=1e-6)


def test_a_gpu_computes_the_plain_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program that is traced for a GPU runs on the CPU here."""
    logits = normal(0, 3, 4, 6, 5)
    expected = score(logits, LABELS, WEIGHTS)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    np.testing.assert_allclose(score(logits, LABELS, WEIGHTS), expected, rtol=1e-6)
    np.testing.assert_allclose(cross_entropy(logits, LABELS, WEIGHTS), expected[0], rtol=1e-6)
    assert "optimization_barrier" not in str(
        jax.make_jaxpr(lambda x: cross_entropy(x, LABELS, WEIGHTS))(logits)
    )
