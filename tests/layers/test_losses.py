from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcolor.layers.conv.squares import cut
from jaxcolor.layers.fusion import note_source
from jaxcolor.layers.losses import argmax, cross_entropy, plain_cross_entropy, score
from jaxcolor.training import compilation

# The same logits, as they are and noted as computed in squares.
LAYOUTS: list[Callable[[jax.Array], jax.Array]] = [
    lambda x: x,
    lambda x: note_source(x + 0, cut(x, 0)),
    lambda x: note_source(x + 0, cut(x, 1)),
]
pytestmark = pytest.mark.usefixtures("each_option")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("loss", [plain_cross_entropy, cross_entropy])
def test_on_hand_computed_values(loss: Callable, layout: Callable) -> None:
    # Two colors with probabilities 1/4 and 3/4, or even; an image of four pixels, and one of padding.
    odds = jnp.asarray([[[1.0, 3.0], [1.0, 1.0]], [[3.0, 1.0], [1.0, 3.0]]])
    logits = jnp.log(jnp.stack([odds, 100 * odds]))
    labels = jnp.asarray([[[1, 0], [1, 1]], [[1, 1], [0, 0]]], jnp.uint8)
    expected = -(np.log(3 / 4) + np.log(1 / 2) + np.log(1 / 4) + np.log(3 / 4)) / 4
    value = compilation.jit(lambda x, w: loss(layout(x), labels, w))(logits, jnp.asarray([2.0, 0.0]))
    assert float(value) == pytest.approx(2 * expected, rel=1e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_cross_entropy_equals_the_plain_one_with_its_gradient(layout: Callable) -> None:
    """Also for large logits, and when the loss is scaled."""
    x = 50 * jax.random.normal(jax.random.key(0), (3, 4, 6, 5))
    labels = jax.random.randint(jax.random.key(1), (3, 4, 6), 0, 5).astype(jnp.uint8)
    weights = jnp.asarray([1.0, 0.0, 0.5])

    def fast(x: jax.Array) -> jax.Array:
        return 3 * cross_entropy(layout(x), labels, weights)

    def plain(x: jax.Array) -> jax.Array:
        return 3 * plain_cross_entropy(x, labels, weights)

    (value, gradient), (expected, expected_gradient) = (
        compilation.jit(jax.value_and_grad(f))(x) for f in (fast, plain)
    )
    assert float(value) == pytest.approx(float(expected), rel=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, atol=1e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("values", [3, 100])
def test_score_is_the_loss_and_the_accuracy(layout: Callable, values: int) -> None:
    """Also if many classes have the largest logit."""
    x = jax.random.randint(jax.random.key(0), (3, 4, 6, 5), 0, values).astype(jnp.float32)
    labels = jax.random.randint(jax.random.key(1), (3, 4, 6), 0, 5).astype(jnp.uint8)
    weights = jnp.asarray([1.0, 0.0, 0.5])
    loss, correct = compilation.jit(lambda x: score(layout(x), labels, weights))(x)
    shares = (np.asarray(x).argmax(-1) == np.asarray(labels)).mean(axis=(1, 2))
    assert float(correct) == pytest.approx(float(shares @ weights), rel=1e-6)
    assert float(loss) == pytest.approx(float(plain_cross_entropy(x, labels, weights)), rel=1e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_argmax_takes_the_first_of_equal_logits(layout: Callable) -> None:
    x = jax.random.randint(jax.random.key(0), (3, 4, 6, 200), 0, 9).astype(jnp.float32)
    classes = compilation.jit(lambda x: argmax(layout(x)))(x)
    assert classes.dtype == jnp.uint8
    np.testing.assert_array_equal(classes, np.asarray(x).argmax(-1))


def test_squares_are_read_in_place_of_the_logits() -> None:
    x = jax.random.normal(jax.random.key(0), (1, 4, 4, 3))

    @jax.jit
    def of_other_squares(x: jax.Array) -> jax.Array:
        return argmax(note_source(x + 0, cut(-x, 1)))

    np.testing.assert_array_equal(of_other_squares(x), np.asarray(-x).argmax(-1))
