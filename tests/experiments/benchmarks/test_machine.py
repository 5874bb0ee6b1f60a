import itertools
import os

import pytest

pytest.importorskip("torch")

from benchmarks.machine import cpu_name, describe_machine, matrix_product_peak, usable_cpus


def test_the_peak_counts_the_operations_of_a_matrix_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock advances by one millisecond per call, so 2·64³ operations take one millisecond."""
    clock = itertools.count()
    monkeypatch.setattr("time.perf_counter", lambda: next(clock) / 1e3)
    assert matrix_product_peak(side=64) == pytest.approx({"jax": 0.524288, "pytorch": 0.524288})


def test_the_description_names_versions_and_threads() -> None:
    facts = describe_machine()
    assert {"jax", "torch", "python"} <= facts["versions"].keys()
    assert facts["torch_threads"] == 1  # set for all tests of this folder
    assert facts["cpus"] == usable_cpus() == len(os.sched_getaffinity(0))
    assert facts["cpu"] == cpu_name()
