import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
from jaxcolor.training.memory import keep_freed_memory

if {keep}:
    assert keep_freed_memory()
np.ones(2**23)  # 64 MB, freed at once
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(2**23)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is the GNU C library's")
def test_large_arrays_are_taken_from_the_system_once() -> None:
    """Page faults of ten arrays after a first one, without and with it; huge pages make them few."""
    faults = [
        int(subprocess.check_output([sys.executable, "-c", PROGRAM.format(keep=keep)]))
        for keep in (False, True)
    ]
    assert faults[0] > 10 * max(faults[1], 1)
