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


GLIBC = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is the GNU C library's")


@GLIBC
def test_large_arrays_are_taken_from_the_system_once() -> None:
    """Page faults of ten arrays after a first one, without and with it; huge pages make them few."""
    faults = [
        int(subprocess.check_output([sys.executable, "-c", PROGRAM.format(keep=keep)]))
        for keep in (False, True)
    ]
    assert faults[0] > 10 * max(faults[1], 1)


RESIDENT = """
from pathlib import Path
import numpy as np
from jaxcolor.training.memory import give_back_large_arrays, keep_freed_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

assert keep_freed_memory()
if {back}:
    assert give_back_large_arrays()
before = resident()
for size in (8, 9, 10):  # MB of float64
    array, small = np.ones(size * 2**20), np.ones(100)
    del array
print(resident() - before)
"""


@GLIBC
def test_large_arrays_are_given_back() -> None:
    """Of three arrays of 64 to 80 MB that are freed each, all or nothing stays with the process."""
    stays = [
        int(subprocess.check_output([sys.executable, "-c", RESIDENT.format(back=back)]))
        for back in (False, True)
    ]
    assert stays[0] > 64e6
    assert stays[1] < 8e6
