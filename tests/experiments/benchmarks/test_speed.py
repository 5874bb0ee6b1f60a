from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from benchmarks.contestants import JaxContestant, Setting, TorchContestant
from benchmarks.speed import OURS, compare_speed, compare_with_best, count_operations
from reference.variants import Variant

from jaxcolor.models import CNN, UNet

NF, NC, K = 5, 7, 3


def setting(**changes: Any) -> Setting:
    values: dict[str, Any] = {
        "model": "unet",
        "batch_size": 60,
        "filters": 2,
        "precision": "float32",
        "images": np.random.default_rng(0).integers(0, 256, (130, 8, 8, 3), dtype=np.uint8),
        "palette": np.random.default_rng(1).uniform(size=(3, 3)).astype(np.float32),
    }
    return Setting(**values | changes)


class Fake:
    """A contestant that records its calls, or raises an error."""

    def __init__(self, error: Exception | None = None):
        self.calls: list[tuple[str, int | None]] = []
        self.error = error

    def _call(self, phase: str, steps: int | None) -> None:
        if self.error:
            raise self.error
        self.calls.append((phase, steps))

    def train(self, steps: int | None = None) -> None:
        self._call("train", steps)

    def evaluate(self, steps: int | None = None) -> None:
        self._call("eval", steps)

    def predict(self, steps: int | None = None) -> None:
        self._call("predict", steps)


def test_a_round_has_a_fixed_number_of_pixels_in_whole_batches() -> None:
    assert setting(batch_size=100).steps == 80  # 500 images of 32² are 8,000 of 8²
    assert setting(batch_size=10**6).steps == 1
    assert len(setting().round_images) == 120  # two whole batches, which the round repeats
    assert len(setting(batch_size=200).round_images) == 200  # some images appear twice


def test_both_programs_train_on_the_same_images() -> None:
    given = setting()
    ours, theirs = JaxContestant(given), TorchContestant(given, Variant("eager"))
    np.testing.assert_array_equal(ours.data["labels"][60:], theirs.batches[1][1])
    np.testing.assert_allclose(ours.data["inputs"][60:, ..., 0], theirs.batches[1][0][:, 0], rtol=1e-6)
    weight = theirs.model.get_parameter("layer6.weight")
    before = np.array(ours.state.params["layer6"]["kernel"]), weight.detach().numpy().copy()
    for contestant in (ours, theirs):
        contestant.train(3)
        contestant.evaluate(1)
        contestant.predict(1)
    assert int(ours.state.step) == 3
    assert float(theirs.optimizer.state[weight]["step"]) == 3
    assert not np.array_equal(before[0], ours.state.params["layer6"]["kernel"])
    assert not np.array_equal(before[1], weight.detach().numpy())


def test_every_phase_is_warmed_up_and_then_timed() -> None:
    fakes = {OURS: Fake(), "pytorch eager": Fake()}
    result = compare_speed(setting(), fakes, rounds=5)
    steps = setting().steps
    for fake in fakes.values():
        for phase in ("train", "eval", "predict"):
            calls = [count for name, count in fake.calls if name == phase]
            assert calls == [1] * 2 + [steps] * 6
    assert {"train_ratio", "eval_ratio", "predict_ratio"} <= result.keys()
    assert result["best"] == dict.fromkeys(("train", "eval", "predict"), "pytorch eager")
    figures = result["contestants"][OURS]["train"]
    assert figures["images_per_second"] == pytest.approx(60 / figures["seconds_per_batch"])


def test_a_variant_that_does_not_compile_is_reported_as_failed() -> None:
    fakes = {
        OURS: Fake(),
        "pytorch eager": Fake(),
        "pytorch compile": Fake(RuntimeError("no compiler\nhere")),
    }
    result = compare_speed(setting(), fakes, rounds=5)
    assert result["failed"] == {"pytorch compile": "RuntimeError: no compiler"}
    assert result["contestants"].keys() == {OURS, "pytorch eager"}


def test_other_errors_are_raised() -> None:
    with pytest.raises(RuntimeError, match="ours"):
        compare_speed(setting(), {OURS: Fake(RuntimeError("ours"))}, rounds=5)


def test_the_ratio_compares_with_the_best_variant() -> None:
    times = {"train": {OURS: [1.0, 1.0], "pytorch a": [3.0, 3.0], "pytorch b": [2.0, 2.0]}}
    result = compare_with_best(times)
    assert result["best"] == {"train": "pytorch b"}
    assert result["train_ratio"] == 2
    assert result["train_ratio_range"] == [2, 2]


def test_a_forward_pass_has_two_operations_per_connection() -> None:
    connections = 1024 * NC**2 + 256 * NC * NF + 896 * NF**2 + 1024 * NF  # published for the CNN
    assert count_operations(CNN(NF, NC, K), 32, 1, train=False) == 2 * K**2 * connections


def test_a_train_step_does_not_compute_the_gradient_of_the_image() -> None:
    model = UNet(NF, NC, K)
    first = 9 * 3 * 5 * 64
    forward = count_operations(model, 8, 3, train=False)
    assert count_operations(model, 8, 3, train=True) == 3 * forward - 2 * first
