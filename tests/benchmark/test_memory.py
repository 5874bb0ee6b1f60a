import numpy as np
import pytest

pytest.importorskip("torch")

from jaxcolor.benchmark.memory import MIB, ProcessMeter, is_measurable

pytestmark = pytest.mark.skipif(not is_measurable(), reason="needs Linux's /proc")


def test_the_peak_is_that_since_the_last_reset() -> None:
    meter = ProcessMeter()
    np.ones(100 * MIB, np.uint8)
    meter.reset()
    before = meter.now()
    assert meter.peak() - before < 20 * MIB
    held = np.ones(50 * MIB, np.uint8)
    del held
    assert 40 * MIB < meter.peak() - before < 70 * MIB
    assert meter.now() - before < 20 * MIB
