import pytest

pytest.importorskip("torch")

from jaxcolor.benchmark.machine import cpu_name, describe, matrix_product_peak, usable_cpus


def test_both_libraries_multiply_matrices() -> None:
    peak = matrix_product_peak(side=64)
    assert peak.keys() == {"jax", "pytorch"}
    assert all(0 < value < 1e6 for value in peak.values())


def test_the_description_names_versions_and_threads() -> None:
    facts = describe()
    assert {"jax", "torch", "python"} <= facts["versions"].keys()
    assert facts["torch_threads"] >= 1
    assert facts["cpus"] == usable_cpus() >= 1
    assert cpu_name()
