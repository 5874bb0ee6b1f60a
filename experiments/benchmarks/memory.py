"""Peak memory of a train step, each program in a fresh process of its own.

On a CPU it is how far the process grows above what it held with data and weights in place, while steps
run that are compiled already; what compiling leaves behind counts. It takes Linux to tell. On a GPU it is
the same by each library's own allocator.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from reference.variants import choose_variants

from benchmarks.contestants import Contestant, JaxContestant, Setting, TorchContestant
from benchmarks.machine import script_environment
from benchmarks.speed import OURS
from jaxcolor.errors import UserError
from jaxcolor.training.compilation import keep_freed_memory

STEPS = 3
MIB = 2**20


def peak_mebibytes(setting: Setting, program: str) -> float:
    """Of `jaxcolor` or of a variant of PyTorch, `pytorch NAME`, measured in a process that this starts."""
    with tempfile.TemporaryDirectory() as folder:
        arrays = Path(folder, "arrays.npz")
        np.savez(arrays, images=setting.material[: setting.batch_size], palette=setting.palette)
        values = {name: getattr(setting, name) for name in ("model", "batch_size", "filters", "precision")}
        command = [sys.executable, "-m", __name__, program, str(arrays), json.dumps(values)]
        done = subprocess.run(command, capture_output=True, text=True, env=script_environment())
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it was killed"])[-1]
        raise UserError(f"cannot measure the memory of {program} at batch {setting.batch_size}: {last}")
    return json.loads(done.stdout.splitlines()[-1]) / MIB


def measure(setting: Setting, program: str) -> int:
    """Bytes at the peak of some steps, above those before the first one."""
    contestant: Contestant
    if program == OURS:
        contestant = JaxContestant(setting)
    else:
        contestant = TorchContestant(setting, *choose_variants([program.removeprefix("pytorch ")]))
    meter = make_meter(program)
    before = meter.now()
    contestant.train(1)
    meter.reset()
    contestant.train(STEPS)
    return meter.peak() - before


class ProcessMeter:
    """The memory of this process, as Linux counts it."""

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
    """XLA's allocator. Its peak cannot be reset, but compiling takes none of it."""

    def now(self) -> int:
        return self._stats()["bytes_in_use"]

    def reset(self) -> None:
        """There is no such thing."""

    def peak(self) -> int:
        return self._stats()["peak_bytes_in_use"]

    @staticmethod
    def _stats() -> dict[str, Any]:
        import jax

        return jax.devices()[0].memory_stats()


class TorchGpuMeter:
    """PyTorch's allocator."""

    def now(self) -> int:
        import torch

        return torch.cuda.memory_allocated()

    def reset(self) -> None:
        import torch

        torch.cuda.reset_peak_memory_stats()

    def peak(self) -> int:
        import torch

        return torch.cuda.max_memory_allocated()


def make_meter(program: str) -> ProcessMeter | JaxGpuMeter | TorchGpuMeter:
    """What measures a program on the device that it runs on."""
    import jax
    import torch

    if program == OURS and jax.default_backend() != "cpu":
        return JaxGpuMeter()
    if program != OURS and torch.cuda.is_available():
        return TorchGpuMeter()
    return ProcessMeter()


def is_measurable() -> bool:
    """Whether this system says how large a process was at its peak."""
    return os.access("/proc/self/clear_refs", os.W_OK)


if __name__ == "__main__":
    keep_freed_memory()
    name, file, plain = sys.argv[1:]
    with np.load(file) as loaded:
        setting = Setting(**json.loads(plain), images=loaded["images"], palette=loaded["palette"])
        print(measure(setting, name))
