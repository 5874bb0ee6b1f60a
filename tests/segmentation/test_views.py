import numpy as np
import pytest

from jaxcolor.segmentation.views import averaged_views, windows


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (65, 64), (100, 1000), (127, 300)])
@pytest.mark.parametrize("side", [None, 32, 64, 4000])
def test_windows_cover_each_pixel_once(size: tuple[int, int], side: int | None) -> None:
    covered = np.zeros(size, int)
    image = np.arange(np.prod(size)).reshape(size)
    shapes = set()
    for window in windows(size, side):
        seen = image[window.seen]
        shapes.add(seen.shape)
        covered[window.used] += 1
        np.testing.assert_array_equal(seen[window.used_of_seen], image[window.used])
    np.testing.assert_array_equal(covered, 1)
    # Windows of one shape share a compiled program.
    assert shapes == {(min(size[0], side or size[0]), min(size[1], side or size[1]))}


def test_windows_overlap_by_a_quarter() -> None:
    starts = [window.seen[1].start for window in windows((64, 300), 64)]
    assert max(np.diff(starts)) <= 48
    # At an inner border at least an eighth of the window is seen beyond the part that is used.
    inner = windows((64, 300), 64)[1]
    assert inner.used[1].start - inner.seen[1].start >= 8
    assert inner.seen[1].stop - inner.used[1].stop >= 8


def test_views_are_three_scales_and_their_mirror_images() -> None:
    assert list(averaged_views((40, 80))) == [
        ((32, 60), 1), ((32, 60), -1), ((40, 80), 1), ((40, 80), -1), ((50, 100), 1), ((50, 100), -1)
    ]  # fmt: skip
