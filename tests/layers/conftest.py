from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(autouse=True)
def strict_promotion() -> Iterator[None]:
    """Layers mix no dtypes by accident. (optax's Adam does, so that this holds for layers only.)"""
    with jax.numpy_dtype_promotion("strict"):
        yield
