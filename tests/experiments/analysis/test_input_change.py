import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from analysis.input_change import (
    GRID,
    differences_by_distance,
    logits_of,
    measure,
    mosaics,
    published,
    render,
    reparametrized,
)
from analysis.trainings import Trainer, Training
from sizes import read_size

UNET = Training("unet", batch_size=30, seed=0, epochs=1, updates=1)


def test_a_kernel_by_hand(trainer: Trainer) -> None:
    params = trainer.initial_state("unet", 0).params
    other = reparametrized(params, 2.0, 3.0)
    first = params["layer1"]["conv"]
    np.testing.assert_allclose(other["layer1"]["conv"]["kernel"], 2 * first["kernel"])
    np.testing.assert_allclose(
        other["layer1"]["conv"]["bias"], first["bias"] + 3 * first["kernel"].sum((0, 1, 2)), rtol=1e-5
    )
    # The last layer sees the image in its first channel, and then what it saw before.
    np.testing.assert_allclose(other["layer6"]["kernel"][:, :, 0], 2 * params["layer6"]["kernel"][:, :, 0])
    np.testing.assert_array_equal(other["layer6"]["kernel"][:, :, 1:], params["layer6"]["kernel"][:, :, 1:])
    np.testing.assert_array_equal(other["layer3"]["conv"]["kernel"], params["layer3"]["conv"]["kernel"])
    # Of the CNN the last layer does not see it.
    cnn = trainer.initial_state("cnn", 0).params
    np.testing.assert_array_equal(reparametrized(cnn, 2.0, 3.0)["layer6"]["kernel"], cnn["layer6"]["kernel"])


@pytest.mark.parametrize("model", ["cnn", "unet"])
def test_it_is_exact_away_from_the_border(trainer: Trainer, model: str) -> None:
    state = trainer.initial_state(model, 0)
    inputs = jax.random.uniform(jax.random.key(1), (1, 48, 48, 1))
    distances = differences_by_distance(state, inputs, -1.5, 0.5)
    assert len(distances) == 24
    assert distances[0] > 1e-3
    # Border pixels reach 1 pixel through layers 1 and 6, 2 through 2 and 5, 4 through 3 and 4; and one more
    # where they share a square of pixels with others.
    assert max(distances[15:]) < 1e-5
    assert max(differences_by_distance(state, inputs, 2.0, 0.0)) < 1e-6


def test_twice_there_and_back_is_nothing(trainer: Trainer) -> None:
    state = trainer.initial_state("unet", 0)
    params = reparametrized(reparametrized(state.params, 2.0, 3.0), 0.5, -1.5)
    inputs = trainer.data("validation")["inputs"]
    np.testing.assert_allclose(
        logits_of(state.replace(params=params), inputs), logits_of(state, inputs), atol=1e-4
    )


def test_the_published_answer(trainer: Trainer) -> None:
    """It is right of a factor alone; weights of a shift it changes by the shift, whatever the layer."""
    state = trainer.initial_state("unet", 0)
    inputs = jax.random.uniform(jax.random.key(1), (1, 32, 32, 1))
    expected = logits_of(state, inputs)

    def found(a: float, b: float) -> jax.Array:
        return logits_of(state.replace(params=published(state.params, a, b)), a * inputs + b)

    np.testing.assert_allclose(found(4.0, 0.0), expected, atol=1e-5)
    assert np.abs(found(1.0, 1.0) - expected)[:, 15:17, 15:17].max() > 0.1
    first = state.params["layer1"]["conv"]
    other = published(state.params, 2.0, 3.0)["layer1"]["conv"]
    np.testing.assert_allclose(other["kernel"], (first["kernel"] - 3) / 2)
    np.testing.assert_array_equal(other["bias"], first["bias"])


def test_mosaics() -> None:
    images = jnp.arange(9.0 * 4).reshape(9, 2, 2, 1)
    (mosaic,) = np.asarray(mosaics(images))
    assert mosaic.shape == (6, 6, 1)
    assert mosaic[:2, 2:4, 0].tolist() == images[1, ..., 0].tolist()
    assert mosaic[4:, :2, 0].tolist() == images[6, ..., 0].tolist()


def test_measured_and_rendered(trainer: Trainer, tmp_path: Path) -> None:
    plains = [dataclasses.replace(UNET, seed=seed) for seed in (0, 1)]
    results = measure(trainer, plains, [(2.0, 0.0), (-1.0, 1.0)], tmp_path)
    scaled, negative = results["changes"]
    # Without a shift the change is undone everywhere.
    assert scaled["other_pixels"] == 0
    assert scaled["undone"]["val_loss"] == pytest.approx(results["plain"]["val_loss"], rel=1e-5)
    assert scaled["untouched"]["val_loss"] != pytest.approx(results["plain"]["val_loss"], rel=1e-3)
    assert scaled["other_pixels_published"] == 0
    assert 0 < negative["other_pixels"] < negative["other_pixels_published"] <= 1
    assert len(results["seeds"]) == 2
    text = render(results, tmp_path)
    assert f"| −x + 1 | {negative['by_distance'][0]:.0e} |" in text
    assert f"{negative['scratch']['val_loss']:.3f} |" in text
    assert "; 2 seeds on x differ by" in text
    assert "seeds on x" not in render(results | {"seeds": results["seeds"][:1]}, tmp_path)
    for name in ("input-change-border.png", "input-change-curves.png", GRID):
        assert f"({name})" in text
        assert read_size(tmp_path / name)[0] > 300
