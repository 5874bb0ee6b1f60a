import numpy as np

from jaxcolor.layers.resize import interpolation
from jaxcolor.photo.upsampling import enlarge, fit


def whole(functions: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.concatenate([part for _, part in enlarge(functions, size)])


def test_chroma_ends_at_the_edges_of_the_lightness() -> None:
    lightness = np.full((32, 32), 0.2, np.float32)
    lightness[:, 16:] = 0.8
    chroma = np.zeros((32, 32, 2), np.float32)
    chroma[:, 12:, 0] = 0.1  # four columns too early
    functions = fit(lightness, chroma, radius=8)
    guided = functions[..., :2] * lightness[..., None] + functions[..., 2:]
    steps = np.abs(np.diff(guided[16, :, 0]))
    assert steps.argmax() == 15  # between the columns 15 and 16
    assert steps[11] < 0.3 * steps[15]


def test_chroma_of_a_flat_image_is_smoothed() -> None:
    rng = np.random.default_rng(0)
    chroma = rng.normal(0, 0.1, (40, 40, 2)).astype(np.float32)
    functions = fit(np.full((40, 40), 0.5, np.float32), chroma)
    np.testing.assert_allclose(functions[..., :2], 0, atol=1e-6)
    assert functions[..., 2:].std() < 0.02


def test_enlarged_by_parts_as_as_a_whole() -> None:
    functions = np.random.default_rng(1).random((5, 7, 4), np.float32)
    for size in ((13, 29), (3, 2), (2, 300_000)):
        rows, columns = interpolation(size[0], 5), interpolation(size[1], 7)
        expected = np.einsum("hr,wc,rcn->hwn", rows, columns, functions)
        np.testing.assert_allclose(whole(functions, size), expected, atol=1e-5)
    parts = [rows for rows, _ in enlarge(functions, (2000, 1000))]
    assert len(parts) > 5
    assert parts[0].start == 0
    assert parts[-1].stop == 2000
