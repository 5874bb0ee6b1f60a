import numpy as np
import pytest

pytest.importorskip("torch")

from benchmarks.certificate import (
    ADAM_STEPS,
    NETWORK_NAMES,
    Difference,
    Record,
    certificate_holds,
    certify,
    compare_records,
    record_gradients,
    record_statistics,
)

from jaxcolor.data.photographs import load_sample

SIDE = 16  # of the images, in pixels


@pytest.mark.shipped
@pytest.mark.parametrize(
    "network", [n if n == "unet" else pytest.param(n, marks=pytest.mark.slow) for n in NETWORK_NAMES]
)
def test_the_certificate_holds(network: str) -> None:
    """The certificate holds on real images, for the UNet after 50 steps of Adam, for others after ten."""
    images = load_sample(SIDE)[0][:40]
    palette = np.random.default_rng(0).uniform(size=(6, 3)).astype(np.float32)
    steps = ADAM_STEPS if network == "unet" else 10
    differences = certify(network, images, palette, batch_size=8, filters=8, steps=steps)  # type: ignore[arg-type]
    found = {d.quantity: d for d in differences}
    assert [d for d in differences if not d.is_good] == []
    # No quantity is missing, and the compared numbers are not copies.
    last = 5 if network in ("strided-unet", "conv-transpose") else 6
    for layer in range(1, last + 1):
        assert f"output of layer{layer}, training" in found
        assert f"output of layer{layer}, evaluation" in found
        assert f"gradients of layer{layer}" in found
    assert {"loss, training", "step 1: running variances", "trained: parameters"} <= found.keys()
    assert found[f"output of layer{last}, training"].between > 0
    assert found[f"output of layer{last}, training"].theirs > 0


def records(value: float, quantity: str = "output of layer1") -> Record:
    return {quantity: {"a": np.asarray([1.0, -4.0]), "b": np.asarray([value, 0.5])}}


def test_differences_are_relative_to_the_largest_value_of_each_array() -> None:
    (difference,) = compare_records(records(0.25), records(0.5), records(0.5))
    assert difference == Difference("output of layer1", 0.5, 0.5, 0.0)
    assert not difference.is_good


def test_the_drift_of_pytorch_is_the_largest_of_its_runs() -> None:
    runs = [records(value, "trained: x") for value in (0.25, 0.5, 0.5, 0.375, 1.0)]
    (difference,) = compare_records(*runs)
    assert difference == Difference("trained: x", 0.5, 0.5, 1.0)


def test_a_difference_above_its_tolerance_is_not_good() -> None:
    assert Difference("output of layer3, training", 9e-6, 1, 1).is_good
    assert not Difference("output of layer3, training", 1.1e-5, 0, 0).is_good
    assert not Difference("trained: total update", 0.2, 0, 0).is_good


def test_without_a_tolerance_jaxcolor_may_be_a_few_times_as_far_as_pytorch() -> None:
    assert Difference("trained: parameters", 0.9, 0.9, 0.2).is_good
    assert not Difference("trained: parameters", 0.9, 0.9, 0.1).is_good
    assert Difference("trained: parameters", 0.1, 0.1, 0.0).is_good


def test_one_difference_that_is_too_large_breaks_the_certificate() -> None:
    good, bad = Difference("loss, training", 1e-7, 2e-7, 3e-7), Difference("loss, training", 1e-3, 1e-8, 1e-8)
    assert certificate_holds({"cnn": [good], "unet": [good]})
    assert not certificate_holds({"cnn": [good], "unet": [good, bad]})


def test_records_must_have_the_same_quantities() -> None:
    with pytest.raises(ValueError, match="loss"):
        compare_records(records(1) | {"loss": {}}, records(1), records(1))


def test_gradients_of_biases_are_relative_to_those_of_the_kernel() -> None:
    gradients = {f"layer{i}/conv/kernel": np.asarray([-4.0, 2.0]) for i in range(1, 6)}
    gradients |= {f"layer{i}/conv/bias": np.asarray([1.0, 0.0]) for i in range(1, 6)}
    record = record_gradients(gradients | {"layer6/kernel": np.ones(2), "layer6/bias": np.ones(2)})
    np.testing.assert_array_equal(record["gradients of biases before BatchNorm"]["layer3"], [0.25, 0])
    assert record["gradients of layer3"].keys() == {"layer3/conv/kernel"}
    assert record["gradients of layer6"].keys() == {"layer6/kernel", "layer6/bias"}


def test_running_means_are_compared_without_biases() -> None:
    weights = {f"layer{i}/norm/mean": np.asarray([1.0]) for i in range(1, 6)}
    weights |= {f"layer{i}/norm/variance": np.asarray([2.0]) for i in range(1, 6)}
    record = record_statistics(weights, {f"layer{i}": np.asarray([0.25]) for i in range(1, 6)}, "now")
    assert record["now: running means without biases"]["layer2"] == 0.75
    assert record["now: running variances"]["layer2"] == 2
