"""Compare jaxcolor with plain PyTorch: `python experiments/benchmark.py colorize`, `segment` or `device`."""

import os
import sys
from collections.abc import Sequence

from benchmarks.config import ColorizeBenchmark, DeviceBenchmark, ScalingBenchmark, SegmentBenchmark

from jaxcolor.cli import run_command, run_script
from jaxcolor.options import read_options
from jaxcolor.training.memory import enough_memory

USAGE = """\
usage: benchmark.py COMMAND [OPTIONS]

Compare jaxcolor with plain PyTorch.

commands:
  colorize   compare colorization: parity certificate, speed and memory
  segment    compare segmentation: forward pass, training, prediction, runs
  device     run all of this on a GPU, in ten minutes
  scaling    train on several CPU devices, without PyTorch

`benchmark.py COMMAND --help` lists the options of a command.
"""


def colorize(arguments: Sequence[str], prog: str) -> None:
    """Compare colorization: parity certificate, speed and memory."""
    config = read_options(ColorizeBenchmark, arguments, prog)
    # Imported after parsing, so --help does not wait for JAX and PyTorch.
    from benchmarks.main import benchmark_colorization

    with enough_memory(config.memory_advice):
        holds = benchmark_colorization(config).get("certificate_holds", True)
    if not holds:
        sys.exit("error: the certificate does not hold: see its rows marked TOO FAR")


def segment(arguments: Sequence[str], prog: str) -> None:
    """Compare segmentation: forward pass, training, prediction, and whole runs with their losses."""
    config = read_options(SegmentBenchmark, arguments, prog)
    from benchmarks.main import benchmark_segmentation

    with enough_memory(config.memory_advice):
        benchmark_segmentation(config)


def device(arguments: Sequence[str], prog: str) -> None:
    """Run everything that is worth knowing about a device."""
    config = read_options(DeviceBenchmark, arguments, prog)
    from benchmarks.device import measure_device

    if failed := measure_device(config):
        sys.exit(f"error: failed: {', '.join(failed)}")


def scaling(arguments: Sequence[str], prog: str) -> None:
    """Train on several CPU devices at equal total work."""
    config = read_options(ScalingBenchmark, arguments, prog)
    # The number of devices is fixed when JAX starts.
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count={max(config.devices)}".strip()
    os.environ["JAX_PLATFORMS"] = "cpu"
    from benchmarks.scaling import measure_scaling

    with enough_memory(config.memory_advice):
        measure_scaling(config)


COMMANDS = {"colorize": colorize, "segment": segment, "device": device, "scaling": scaling}

if __name__ == "__main__":
    run_script(
        lambda: run_command(COMMANDS, USAGE, "benchmark.py", sys.argv[1:]),
        "an interrupted benchmark saves no results",
    )
