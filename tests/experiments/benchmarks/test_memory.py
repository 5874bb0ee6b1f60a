import mmap

import pytest

pytest.importorskip("torch")

from benchmarks.memory import MIB, ProcessMeter, is_measurable

pytestmark = pytest.mark.skipif(not is_measurable(), reason="needs Linux's /proc")


def hold(mebibytes: int) -> None:
    """Allocate memory from the system and free it. An array might reuse memory of the process instead."""
    with mmap.mmap(-1, mebibytes * MIB) as held:
        for start in range(0, len(held), MIB):
            held[start : start + MIB] = bytes(MIB)


def test_the_peak_is_measured_since_the_last_reset() -> None:
    meter = ProcessMeter()
    hold(100)
    meter.reset()
    before = meter.now()
    assert meter.peak() - before < 20 * MIB
    hold(50)
    assert 40 * MIB < meter.peak() - before < 70 * MIB
    assert meter.now() - before < 20 * MIB
