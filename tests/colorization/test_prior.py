from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from plain_networks import assert_close, make_variables
from random_arrays import labels, uniform

from jaxcolor.colorization.preprocess import gray, scale
from jaxcolor.colorization.prior import (
    IMAGES_AT_ONCE,
    LEVELS,
    add_prior,
    count_colors,
    gray_levels,
    load_prior,
    log_prior,
    with_prior,
)
from jaxcolor.errors import UserError
from jaxcolor.layers import argmax, cross_entropy, score
from jaxcolor.layers.losses import plain_cross_entropy
from jaxcolor.models import MODELS, UNet, apply_function

RNG = np.random.default_rng(0)


def test_gray_levels_are_rounded_means() -> None:
    pixels = np.array([[0, 0, 1], [1, 1, 0], [255, 255, 255], [254, 254, 255]], np.uint8)
    assert gray_levels(pixels[None, None])[0, 0].tolist() == [0, 1, 255, 254]


def test_colors_are_counted_per_gray_level() -> None:
    images = RNG.integers(0, 256, (IMAGES_AT_ONCE + 3, 2, 2, 3), np.uint8)
    of_pixels = RNG.integers(0, 3, images.shape[:3])
    counts = count_colors(images, of_pixels, colors=4)
    assert counts.shape == (LEVELS, 4)
    level, color = 100, 2
    assert counts[level, color] == np.sum((gray_levels(images) == level) & (of_pixels == color)) > 0
    assert counts.sum() == of_pixels.size


def test_the_prior_is_the_share_of_each_color_at_a_gray_level() -> None:
    counts = np.zeros((LEVELS, 3), int)
    counts[7] = [3_000_000, 1_000_000, 0]
    prior = np.exp(log_prior(counts))
    np.testing.assert_allclose(prior.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(prior[7], [0.75, 0.25, 0], atol=1e-5)
    assert prior.min() > 0
    # Levels without pixels have the shares of all levels.
    np.testing.assert_allclose(prior[8], [0.75, 0.25, 0], atol=1e-5)


def test_each_pixel_gets_the_prior_of_its_own_level() -> None:
    """The level that the network's input has is the one under which the pixel was counted."""
    images = RNG.integers(0, 256, (2, 4, 6, 3), np.uint8)
    prior = np.arange(LEVELS * 5, dtype=np.float32).reshape(LEVELS, 5)
    inputs = gray(scale(jnp.asarray(images)))
    found = add_prior(jnp.ones((2, 4, 6, 5), jnp.bfloat16), inputs, prior)
    np.testing.assert_array_equal(found, 1 + prior[gray_levels(images)])


@pytest.mark.parametrize("name", ["unet", "strided-unet"])
def test_networks_get_the_prior_in_loss_gradient_and_prediction(name: str) -> None:
    """The UNets compute their logits in squares, which the loss reads instead of the logits."""
    x, targets, weights = uniform(0, 2, 8, 16, 1), labels(1, 5, 2, 8, 16), jnp.asarray([0.7, 0.3])
    prior = np.asarray(3 * uniform(2, LEVELS, 5))
    model = MODELS[name](filters=2, colors=5)
    variables = make_variables(model, x)
    with_it = with_prior(apply_function(model), prior)
    offset = prior[np.round(np.asarray(x[..., 0]) * 256).clip(0, 255).astype(int)]

    def ours(params: Any) -> Any:
        given = variables | {"params": params}
        logits, updates = with_it(given, x, train=True, mutable=["batch_stats"])
        out = with_it(given, x, train=False)
        return cross_entropy(logits, targets, weights), (updates, argmax(out), score(out, targets, weights))

    def plain(params: Any) -> Any:
        given = variables | {"params": params}
        logits, updates = model.apply(given, x, train=True, mutable=["batch_stats"])
        out: Any = model.apply(given, x, train=False)
        best = (out + offset).argmax(-1)
        scores = (
            plain_cross_entropy(out + offset, targets, weights),
            ((best == targets).mean((1, 2)) * weights).sum(),
        )
        return plain_cross_entropy(logits + offset, targets, weights), (updates, best, scores)

    found, expected = (
        jax.jit(jax.value_and_grad(loss, has_aux=True))(variables["params"]) for loss in (ours, plain)
    )
    assert_close(found, expected)


def test_squares_keep_the_prior() -> None:
    """The fast path of the loss and the array itself hold the same logits."""
    x = uniform(0, 2, 8, 8, 1)
    model = UNet(2, 5)
    apply = with_prior(model.apply, np.asarray(uniform(1, LEVELS, 5)))

    @jax.jit
    def both(variables: Any) -> Any:
        logits = apply(variables, x)
        targets, weights = labels(1, 5, 2, 8, 8), jnp.ones(2)
        return cross_entropy(logits, targets, weights), plain_cross_entropy(logits, targets, weights)

    fast, slow = both(make_variables(model, x))
    assert float(fast) == pytest.approx(float(slow), rel=1e-5)


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "prior.npy"
    with pytest.raises(UserError, match="cannot read the prior"):
        load_prior(path, 3)
    path.write_bytes(b"\x93NUMPY")
    with pytest.raises(UserError, match="cannot read the prior"):
        load_prior(path, 3)
    np.save(path, np.zeros((LEVELS, 4), np.float32))
    with pytest.raises(UserError, match="is damaged"):
        load_prior(path, 3)
    np.testing.assert_array_equal(load_prior(path, 4), np.zeros((LEVELS, 4)))
