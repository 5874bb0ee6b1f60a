from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from analysis import memory
from analysis.config import AnalyzeConfig
from analysis.memory import (
    Case,
    build_step,
    bytes_kept,
    bytes_of,
    cases,
    measure,
    measure_step,
)
from flax import linen as nn

from jaxcolor.errors import UserError

SMALL = AnalyzeConfig(memory_networks=("resnet50", "unet"), memory_sizes=(32, 64), memory_batch_size=2)


def test_what_is_kept_by_hand() -> None:
    """relu(x @ v) @ w keeps the inner layer's output and where it is above 0; x, v and w are arguments."""

    def loss(parameters: dict[str, jax.Array], x: jax.Array) -> tuple[jax.Array, None]:
        return (nn.relu(x @ parameters["v"]) @ parameters["w"]).sum(), None

    shapes = {"v": jax.ShapeDtypeStruct((3, 5), jnp.float32), "w": jax.ShapeDtypeStruct((5, 2), jnp.float32)}
    x = jax.ShapeDtypeStruct((7, 3), jnp.float32)
    # The derivative of a ReLU chooses between gradients and zeros: a constant, that is not counted.
    assert bytes_kept(loss, shapes, x) == 7 * 5 * 4 + 7 * 5
    assert bytes_kept(lambda v, x: ((x @ v).sum(), None), shapes["v"], x) == 0
    assert bytes_kept(lambda v, x: (jnp.sin(x @ v).sum(), None), shapes["v"], x) == 7 * 5 * 4


def test_bytes_of_what_is_trained() -> None:
    """DeepLabV3 on ResNet-50 has 42,004,074 parameters with its auxiliary head, 5,397 in the last layer."""
    all_parameters = 42_004_074 - (9 * 1024 * 256 + 2 * 256 + 256 * 21 + 21)
    steps = {kind: build_step(Case("resnet50", kind, 64), 2) for kind in memory.KINDS}
    assert bytes_of(steps["last layer"].trained) == 4 * 5397
    assert bytes_of(steps["everything"].trained) == 4 * all_parameters
    # Two moments each, and the number of steps.
    assert bytes_of(steps["last layer"].state.opt_state) == 2 * 4 * 5397 + 4
    assert bytes_of(steps["everything"].state.opt_state) == 2 * 4 * all_parameters + 4
    assert len({bytes_of(step.state.params) for step in steps.values()}) == 1
    # Features are 8 times smaller than images: 2048 channels behind the backbone, 256 behind the head.
    assert steps["head, cached"].features == 4 * 8 * 8 * 2048
    assert steps["last layer, cached"].features == 4 * 8 * 8 * 256
    assert steps["head"].features == 0


def test_less_is_kept_for_less_training() -> None:
    kept = {}
    for kind in ("everything", "head", "last layer", "last layer, cached"):
        step = build_step(Case("resnet50", kind, 64), 2)
        kept[kind] = bytes_kept(step.loss, step.trained, step.state, step.batch)
    assert kept["last layer, cached"] <= kept["last layer"] < kept["head"] < kept["everything"] / 4


def test_cases() -> None:
    found = cases(SMALL)
    assert len(found) == 2 * (len(memory.KINDS) + 1)
    assert [case.side for case in found if case.network == "unet"] == [32, 64]


def test_a_step_is_compiled_and_counted() -> None:
    found = measure_step(build_step(Case("unet", "everything", 32), 2))
    assert found["parameters"] == found["gradients"]
    assert found["optimizer"] == 2 * found["gradients"] + 4
    # At least the inputs of all layers are kept: 32²·(1 + 24 / 4) + 16²·(32 + 32 / 4) + 8²·(64 + 64 + 64).
    least = 2 * 4 * (1024 * 7 + 256 * 40 + 64 * 192)
    assert found["kept"] > least - 2 * 4 * 1024  # the image itself is an argument
    assert least / 2 < found["temporary"] < 20 * least


def test_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Case] = []

    def count(case: Case) -> dict[str, int]:
        calls.append(case)
        return {"temporary": 1}

    monkeypatch.setattr(memory, "build_step", lambda case, batch_size: case)
    monkeypatch.setattr(memory, "measure_step", count)
    results = measure(SMALL, tmp_path)
    assert calls == cases(SMALL)
    assert measure(SMALL, tmp_path) == results
    assert calls == cases(SMALL)
    next(iter(tmp_path.iterdir())).write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        measure(SMALL, tmp_path)
