"""Peak memory of a train step, each program in a new process.

On a CPU, the result is the growth of the process above its size with data and weights in place. Only steps
that are already compiled count for the peak, but so does memory that the compiler does not free. Linux
reports the sizes. On a GPU, the allocator of each library reports them.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
import torch
from reference.variants import choose_variants

from benchmarks.contestants import Contestant, JaxContestant, Setting, TorchContestant
from benchmarks.processes import run_python
from benchmarks.speed import OURS
from jaxcolor.training.memory import keep_freed_memory

MEASURED_STEPS = 3
MIB = 2**20


def peak_mebibytes(setting: Setting, program: str) -> float:
    """Return the peak memory in MiB of `jaxcolor` or `pytorch VARIANT`, measured in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        arrays = Path(folder, "arrays.npz")
        np.savez(arrays, images=setting.round_images[: setting.batch_size], palette=setting.palette)
        values = {name: getattr(setting, name) for name in ("model", "batch_size", "filters", "precision")}
        out = run_python(
            f"the memory measurement of {program} at batch {setting.batch_size}",
            ["-m", __name__, program, arrays, json.dumps(values)],
            cache=folder,
        )
    return json.loads(out.splitlines()[-1]) / MIB


def peak_bytes(setting: Setting, program: str) -> int:
    """Return the bytes at the peak of some steps, above those before the first step."""
    contestant: Contestant
    if program == OURS:
        contestant = JaxContestant(setting)
    else:
        contestant = TorchContestant(setting, *choose_variants([program.removeprefix("pytorch ")]))
    meter = make_meter(program)
    before = meter.now()
    contestant.train(1)
    meter.reset()
    contestant.train(MEASURED_STEPS)
    return meter.peak() - before


class ProcessMeter:
    """Resident memory of this process, from Linux."""

    def now(self) -> int:
        return self._read("VmRSS")

    def reset(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")

    def peak(self) -> int:
        return self._read("VmHWM")

    @staticmethod
    def _read(name: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


class JaxGpuMeter:
    """GPU memory of JAX, from XLA's allocator."""

    def now(self) -> int:
        return self._stats()["bytes_in_use"]

    def reset(self) -> None:
        """Do nothing: XLA cannot reset its peak, but compiling does not use its allocator."""

    def peak(self) -> int:
        return self._stats()["peak_bytes_in_use"]

    @staticmethod
    def _stats() -> dict[str, Any]:
        return jax.devices()[0].memory_stats()


class TorchGpuMeter:
    """GPU memory of PyTorch, from its allocator."""

    def now(self) -> int:
        return torch.cuda.memory_allocated()

    def reset(self) -> None:
        torch.cuda.reset_peak_memory_stats()

    def peak(self) -> int:
        return torch.cuda.max_memory_allocated()


def make_meter(program: str) -> ProcessMeter | JaxGpuMeter | TorchGpuMeter:
    """Return the meter for a program on its device."""
    if program == OURS and jax.default_backend() != "cpu":
        return JaxGpuMeter()
    if program != OURS and torch.cuda.is_available():
        return TorchGpuMeter()
    return ProcessMeter()


def is_measurable() -> bool:
    """Return whether this system reports the peak memory of a process."""
    return os.access("/proc/self/clear_refs", os.W_OK)


def main(program: str, arrays: str, settings: str) -> None:
    """Print the peak memory of a program in bytes. `arrays` is an .npz file, `settings` is JSON."""
    keep_freed_memory()
    with np.load(arrays) as loaded:
        setting = Setting(**json.loads(settings), images=loaded["images"], palette=loaded["palette"])
    print(peak_bytes(setting, program))


if __name__ == "__main__":
    main(*sys.argv[1:])
