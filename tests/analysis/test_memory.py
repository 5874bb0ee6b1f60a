from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from sizes import picture_size

from jaxcolor.analysis import memory
from jaxcolor.analysis.config import AnalyzeConfig
from jaxcolor.analysis.memory import (
    Case,
    build_step,
    bytes_kept,
    bytes_of,
    cases,
    measure,
    measure_step,
    render,
)
from jaxcolor.analysis.plots import growth
from jaxcolor.errors import UserError

SMALL = AnalyzeConfig(memory_networks=("resnet50", "unet"), memory_sizes=(32, 64), memory_batch_size=2)


def test_what_is_kept_by_hand() -> None:
    """tanh(x @ w)² keeps tanh's output, of which both derivatives are made, once; x and w are arguments."""

    def loss(w: jax.Array, x: jax.Array) -> tuple[jax.Array, None]:
        return jnp.square(jnp.tanh(x @ w)).sum(), None

    shapes = (jax.ShapeDtypeStruct((3, 5), jnp.float32), jax.ShapeDtypeStruct((7, 3), jnp.float32))
    kept = bytes_kept(loss, *shapes)
    output = 4 * 7 * 5
    # Of the square 2·tanh is kept, of tanh 1 − tanh²: arrays of the output's size, and nothing else.
    assert kept % output == 0
    assert output <= kept <= 3 * output
    # Of what is not differentiated nothing is kept: here the derivative is x, an argument.
    assert bytes_kept(lambda w, x: ((x @ w).sum(), None), *shapes) == 0


def test_bytes_of_what_is_trained() -> None:
    """DeepLabV3 on ResNet-50 has 42,004,074 parameters with its auxiliary head, 5,397 in the last layer."""
    all_parameters = 42_004_074 - (9 * 1024 * 256 + 2 * 256 + 256 * 21 + 21)
    steps = {kind: build_step(Case("resnet50", kind, 64), 2) for kind in memory.KINDS}
    assert bytes_of(steps["last layer"].trained) == 4 * 5397
    assert bytes_of(steps["everything"].trained) == 4 * all_parameters
    # Two moments each, and the number of steps.
    assert bytes_of(steps["last layer"].state.opt_state) == 2 * 4 * 5397 + 4
    assert bytes_of(steps["everything"].state.opt_state) == 2 * 4 * all_parameters + 4
    assert len({bytes_of(step.state.variables) for step in steps.values()}) == 1
    # Features are 8 times smaller than pictures: 2048 channels behind the backbone, 256 behind the head.
    assert steps["head, cached features"].features == 4 * 8 * 8 * 2048
    assert steps["last layer, cached features"].features == 4 * 8 * 8 * 256
    assert steps["head"].features == 0


def test_less_is_kept_for_less_training() -> None:
    kept = {}
    for kind in ("everything", "head", "last layer", "last layer, cached features"):
        step = build_step(Case("resnet50", kind, 64), 2)
        kept[kind] = bytes_kept(step.loss, step.trained, step.state, step.batch)
    assert kept["last layer, cached features"] <= kept["last layer"] < kept["head"] < kept["everything"] / 4


def test_cases() -> None:
    found = cases(SMALL)
    assert len(found) == 2 * (len(memory.KINDS) + 1)
    assert [case.side for case in found if case.network == "unet"] == [32, 64]


def test_a_step_is_compiled_and_counted() -> None:
    found = measure_step(build_step(Case("unet", "everything", 32), 2))
    assert found["parameters"] == found["gradients"] + 2 * 4 * (32 + 64 + 64 + 32 + 24)
    assert found["optimizer"] == 2 * found["gradients"] + 4
    # At least the inputs of all layers are kept: 32²·(1 + 24 / 4) + 16²·(32 + 32 / 4) + 8²·(64 + 64 + 64).
    least = 2 * 4 * (1024 * 7 + 256 * 40 + 64 * 192)
    assert found["kept"] > least - 2 * 4 * 1024  # the picture itself is an argument
    assert least / 2 < found["temporary"] < 20 * least


def test_measured_once_and_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def made_up(case: Any) -> dict[str, int]:
        side = case.side
        calls.append(side)
        return {
            "parameters": 1000, "optimizer": 2000, "gradients": 1000, "kept": 100 * side**2,
            "temporary": 10_000 * side**2, "features": 0,
        }  # fmt: skip

    monkeypatch.setattr(memory, "build_step", lambda case, batch_size: case)
    monkeypatch.setattr(memory, "measure_step", made_up)
    results = measure(SMALL, tmp_path / "compiled")
    assert len(calls) == len(cases(SMALL)) == len(results["rows"])
    measure(SMALL, tmp_path / "compiled")
    assert len(calls) == len(cases(SMALL))
    text = render(results, tmp_path)
    assert "| everything | 1 kB | 2 kB | 1 kB | 102 kB, 10.2 MB | 410 kB, 41 MB | side^2.00 |" in text
    assert "parameters and optimiser state stay at 3 kB" in text
    assert "grows 4.0-fold, where the pixels grow 4.0-fold" in text
    for name in ("memory-kept.png", "memory-temporary.png"):
        assert f"({name})" in text
        assert picture_size(tmp_path / name)[0] > 500
    next(iter((tmp_path / "compiled").iterdir())).write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        measure(SMALL, tmp_path / "compiled")


def test_growth_of_a_power() -> None:
    assert growth([(side, 3 * side**1.5) for side in (10, 20, 50)]) == pytest.approx(1.5)
