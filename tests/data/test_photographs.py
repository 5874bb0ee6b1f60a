import numpy as np

from jaxcolor.data import photographs
from jaxcolor.data.photographs import load_photographs, load_sample


def test_photographs_are_colorful() -> None:
    images = load_photographs()
    assert len(images) == 8
    for image in images:
        assert image.dtype == np.uint8
        assert image.shape[2] == 3
        assert min(image.shape[:2]) >= 300
        assert image.std(axis=2).mean() > 4, "a gray photograph teaches no colors"


def test_sample_is_some_thousand_patches_and_deterministic() -> None:
    train, validation = load_sample()
    assert train.shape[1:] == validation.shape[1:] == (32, 32, 3)
    assert 3000 <= len(train) <= 5000
    assert 400 <= len(validation) <= 1000
    for first, second in zip((train, validation), load_sample(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_train_and_validation_share_no_pixel(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """Photographs whose pixels name their column show where the patches come from."""
    columns = np.broadcast_to((np.arange(480) // 2).astype(np.uint8)[None, :, None], (400, 480, 3))
    monkeypatch.setattr(photographs, "load_photographs", lambda: [columns])
    train, validation = load_sample()
    assert len(validation)
    assert train.max() < validation.min()
