from typing import Any

import pytest
from benchmarks.config import ColorizeBenchmark

from jaxcolor.errors import UserError


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rounds": 4}, "--rounds must be at least 5, not 4"),
        ({"batch_size": (100, 0)}, "--batch-size must be at least 1, not 0"),
        ({"model": ()}, "--model needs at least one value"),
        ({"filters": 0}, "--filters must be at least 1, not 0"),
        ({"epochs": 0}, "--epochs must be at least 1"),
        ({"whole_run": 1, "precision": "bfloat16"}, "--whole-run is in float32: leave out --precision"),
    ],
)
def test_invalid_settings_raise_an_error(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ColorizeBenchmark(**settings)


def test_a_sweep_replaces_the_batch_sizes() -> None:
    assert ColorizeBenchmark(batch_size=(7,)).batch_sizes == (7,)
    assert ColorizeBenchmark(batch_size=(7,), sweep=True).batch_sizes == (25, 50, 100, 200, 500, 1000)
