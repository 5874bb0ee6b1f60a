from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcolor.errors import UserError
from jaxcolor.photo.chroma import (
    LEVELS,
    REACH,
    SIDE,
    SPACING,
    Chroma,
    cells,
    count,
    decode,
    levels,
    load_chroma,
    make_chroma,
    rebalancing,
    save_chroma,
    shrink,
)


@pytest.fixture
def counts() -> np.ndarray:
    """Two frequent cells, one at each end of the lightness, and one that is too rare."""
    counts = np.zeros((LEVELS, SIDE * SIDE), np.int64)
    middle = SIDE * SIDE // 2
    counts[0, middle], counts[-1, middle + 3], counts[5, 0] = 3_000_000, 1_000_000, 1
    return counts


def test_a_color_lies_in_the_cell_of_the_nearest_center() -> None:
    chroma = np.random.default_rng(0).uniform(-0.3, 0.3, (1, 5, 7, 2)).astype(np.float32)
    lab = jnp.concatenate([jnp.zeros((1, 5, 7, 1)), chroma], axis=-1)
    rows, columns = np.divmod(np.asarray(cells(lab)), SIDE)
    centers = np.stack([rows, columns], axis=-1) * SPACING - REACH
    assert np.abs(centers - chroma).max() <= SPACING / 2 + 1e-6
    assert levels(jnp.asarray([[[0.0, 0.5, 1.0]]])).tolist() == [[[0, LEVELS // 2, LEVELS - 1]]]


def test_counted_are_the_means_of_squares() -> None:
    image = np.zeros((1, 8, 8, 3), np.uint8)
    image[:, :, 4:] = 255
    total = count([image, image], stride=4)
    middle = SIDE * SIDE // 2  # no chroma
    assert (total.sum(), total[0, middle], total[-1, middle]) == (8, 4, 4)
    values = jnp.arange(16.0).reshape(1, 4, 4, 1)
    assert shrink(values, 2)[0, ..., 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]


def test_bins_and_their_frequencies(counts: np.ndarray) -> None:
    chroma = make_chroma(counts)
    np.testing.assert_allclose(chroma.centers, [[0.0, 0.0], [0.0, 3 * SPACING]], atol=1e-6)
    assert chroma.nearest[0] == 0  # that of the rare cell
    assert chroma.nearest[SIDE * SIDE // 2 + 3] == 1
    np.testing.assert_allclose(chroma.frequencies, [0.75, 0.25], atol=1e-6)
    shares = np.exp(chroma.log_prior)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert shares[0, 0] > 0.999
    assert shares[-1, 1] > 0.999
    np.testing.assert_allclose(shares[10], [0.75, 0.25], atol=1e-5)  # a level without pixels


def test_weights_of_rare_colors() -> None:
    frequencies = np.array([0.64, 0.36], np.float32)
    np.testing.assert_allclose(rebalancing(frequencies, 0), [1, 1])
    weights = rebalancing(frequencies, 0.5)
    np.testing.assert_allclose((weights * frequencies).sum(), 1, rtol=1e-6)
    np.testing.assert_allclose(weights[1] / weights[0], 0.8 / 0.6, rtol=1e-6)


def test_decoding_goes_from_the_mean_to_the_most_likely_color() -> None:
    centers, weights = jnp.asarray([[0.1, 0.0], [-0.2, 0.1]]), jnp.asarray([0.5, 2.0])
    truth = np.array([0.7, 0.3])
    logits = jnp.log(jnp.asarray(truth * [0.5, 2.0]))  # of a network that was trained with the weights
    np.testing.assert_allclose(decode(logits, centers, weights, 0.0), truth @ centers, atol=1e-6)
    np.testing.assert_allclose(decode(logits, centers, weights, 1.0), centers[1], atol=1e-6)
    half = np.asarray(truth * np.sqrt([0.5, 2.0])) ** 2
    np.testing.assert_allclose(decode(logits, centers, weights, 0.5), half / half.sum() @ centers, atol=1e-6)


def test_the_file_of_a_run(counts: np.ndarray, tmp_path: Path) -> None:
    chroma = make_chroma(counts)
    save_chroma(tmp_path / "chroma.npz", chroma)
    again = load_chroma(tmp_path / "chroma.npz")
    assert isinstance(again, Chroma)
    for one, two in zip(chroma, again, strict=True):
        np.testing.assert_array_equal(one, two)
    for damage in (b"", b"PK\x03\x04 no archive"):
        (tmp_path / "chroma.npz").write_bytes(damage)
        with pytest.raises(UserError, match="chroma.npz is damaged"):
            load_chroma(tmp_path / "chroma.npz")
