import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcolor.data.label_maps import VOID
from jaxcolor.segmentation.config import LossName
from jaxcolor.segmentation.losses import LOSSES, cross_entropy, make_class_weights, make_loss

WEIGHTS = jnp.array([1.0, 2.0, 0.5])
CLASSES = len(WEIGHTS)


def test_cross_entropy_on_hand_computed_values() -> None:
    probabilities = jnp.array([[0.2, 0.3, 0.5], [0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])  # [pixel, class]
    logits = jnp.log(probabilities).T[:, None]
    labels = jnp.array([[1, 0, VOID]])
    differentiate = jax.value_and_grad(lambda x: cross_entropy(x, labels, WEIGHTS), has_aux=True)
    (total, weight), gradient = jax.jit(differentiate)(logits)
    assert total == pytest.approx(-2 * np.log(0.3) - np.log(0.7), rel=1e-5)
    assert weight == 3
    # The weight times the probability, less 1 for the label.
    expected = [[0.4, 2 * (0.3 - 1), 1.0], [0.7 - 1, 0.2, 0.1], [0.0, 0.0, 0.0]]
    np.testing.assert_allclose(gradient[:, 0].T, expected, atol=1e-6)


def plain(name: LossName, logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the loss of one image by a loop over its pixels and classes."""
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    pairs = zip(probabilities.reshape(-1, CLASSES), labels.ravel(), strict=True)
    pixels = [(p, label) for p, label in pairs if label != VOID]
    if name in ("cross-entropy", "focal"):
        power = 2 if name == "focal" else 0
        losses = [WEIGHTS[label] * (1 - p[label]) ** power * -np.log(p[label]) for p, label in pixels]
        return float(sum(losses) / sum(WEIGHTS[label] for _, label in pixels))
    values = []
    for cls in range(CLASSES):
        both = sum(p[cls] for p, label in pixels if label == cls)
        true, predicted = sum(label == cls for _, label in pixels), sum(p[cls] for p, _ in pixels)
        if true:
            share = 2 * both / (true + predicted) if name == "dice" else both / (true + predicted - both)
            values.append(1 - share)
    return float(np.mean(values))


def random_image(classes: int = CLASSES) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, (1, 5, 7)).astype(np.uint8)
    labels[0, 0] = VOID
    return rng.normal(size=(1, 5, 7, CLASSES)).astype(np.float32), labels


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("classes", [3, 2])  # with two, the third class is not in the labels
def test_losses_equal_a_loop_over_pixels(name: LossName, classes: int) -> None:
    logits, labels = random_image(classes)
    value, weight = make_loss([name], WEIGHTS)(jnp.asarray(logits), jnp.asarray(labels))
    assert float(value) == pytest.approx(plain(name, logits[0], labels[0]), rel=1e-4)
    assert float(weight) == float(sum(WEIGHTS[label] for label in labels.ravel() if label != VOID))


def test_losses_add_up() -> None:
    logits, labels = random_image()
    both, _ = make_loss(["cross-entropy", "dice"], WEIGHTS)(jnp.asarray(logits), jnp.asarray(labels))
    assert float(both) == pytest.approx(
        plain("cross-entropy", logits[0], labels[0]) + plain("dice", logits[0], labels[0]), rel=1e-4
    )


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_of_void_has_no_loss_and_no_gradient(name: LossName) -> None:
    logits, _ = random_image()
    labels = jnp.full((1, 5, 7), VOID, jnp.uint8)
    (value, weight), gradient = jax.value_and_grad(make_loss([name], WEIGHTS), has_aux=True)(
        jnp.asarray(logits), labels
    )
    assert (float(value), float(weight)) == (0, 0)
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_alone_learns_the_labels(name: LossName) -> None:
    _, labels = random_image()
    loss, optimizer = make_loss([name], WEIGHTS), optax.adam(0.1)

    @jax.jit
    def step(logits: jax.Array, state: optax.OptState) -> tuple[jax.Array, optax.OptState]:
        gradient, _ = jax.grad(loss, has_aux=True)(logits, jnp.asarray(labels))
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(logits, updates), state

    logits = jnp.zeros((1, 5, 7, CLASSES))
    state = optimizer.init(logits)
    for _ in range(50):
        logits, state = step(logits, state)
    np.testing.assert_array_equal(logits.argmax(-1)[labels != VOID], labels[labels != VOID])


def test_class_weights_are_one_over_the_root_of_the_frequency() -> None:
    counts = np.zeros(256, np.int64)
    counts[[0, 1, VOID]] = [900, 100, 5000]
    # Frequencies 0.9 and 0.1: 1/√0.9 and 1/√0.1, divided by √0.9 + √0.1, their mean over the pixels.
    np.testing.assert_allclose(make_class_weights("sqrt", counts, 3), [0.833333, 2.5, 0], rtol=1e-6)
    np.testing.assert_array_equal(make_class_weights("none", counts, 3), [1, 1, 1])
