import platform
import subprocess
import sys

import jax
import numpy as np
import pytest

from jaxcolor.errors import UserError, reason
from jaxcolor.training import memory
from jaxcolor.training.memory import enough_memory

PAGE_FAULTS = """
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


GLIBC = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt belongs to the GNU C library")


@GLIBC
def test_freed_memory_is_reused() -> None:
    """Count the page faults of ten arrays after the first one, without and with the option."""
    faults = [
        int(subprocess.check_output([sys.executable, "-c", PAGE_FAULTS.format(keep=keep)]))
        for keep in (False, True)
    ]
    assert faults[0] > 10 * max(faults[1], 1)


RESIDENT = """
from pathlib import Path
import numpy as np
from jaxcolor.training.memory import return_large_arrays, keep_freed_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

assert keep_freed_memory()
if {back}:
    assert return_large_arrays()
before = resident()
for size in (8, 9, 10):  # MB of float64
    array, small = np.ones(size * 2**20), np.ones(100)
    del array
print(resident() - before)
"""


@GLIBC
def test_large_arrays_are_returned_to_the_system() -> None:
    """Allocate and free three arrays of 64 to 80 MB: all or none of their memory stays with the process."""
    stays = [
        int(subprocess.check_output([sys.executable, "-c", RESIDENT.format(back=back)]))
        for back in (False, True)
    ]
    assert stays[0] > 64e6
    assert stays[1] < 8e6


def test_without_glibc_memory_options_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library(name: object) -> None:
        raise OSError("no such library")

    monkeypatch.setattr(memory.ctypes, "CDLL", no_library)
    assert not memory.keep_freed_memory()
    assert not memory.return_large_arrays()


@pytest.mark.parametrize(
    "error",
    [
        jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes"),
        jax.errors.JaxRuntimeError("INTERNAL: CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
        RuntimeError("Bad StatusOr access: RESOURCE_EXHAUSTED: Failed to allocate buffer for Literal"),
        MemoryError(),
    ],
)
def test_too_little_memory_is_one_line(error: Exception) -> None:
    with (
        pytest.raises(UserError, match="^too little memory: lower --filters$"),
        enough_memory("lower --filters"),
    ):
        raise error


def test_too_large_arrays_are_one_line() -> None:
    with pytest.raises(UserError, match="too little memory"), enough_memory("lower --filters"):
        np.zeros(2**58)


@pytest.mark.parametrize(
    "error",
    [jax.errors.JaxRuntimeError("INTERNAL: a fault"), RuntimeError("a fault"), ValueError("out of memory")],
)
def test_other_errors_are_not_hidden(error: Exception) -> None:
    with pytest.raises(type(error)), enough_memory("lower --filters"):
        raise error


def test_the_inner_advice_counts() -> None:
    with (
        pytest.raises(UserError, match="smaller image"),
        enough_memory("outer"),
        enough_memory("smaller image"),
    ):
        raise MemoryError
    assert reason(MemoryError()) == "too little memory"
