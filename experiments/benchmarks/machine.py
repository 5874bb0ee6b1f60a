"""The machine of a benchmark: a description, and its speed at products of matrices."""

import os
import platform
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import torch
from reference.variants import choose_device

from jaxcolor.training.run_folder import environment

REPETITIONS = 10


def usable_cpus() -> int:
    """Return the number of CPUs that this process may use. JAX starts as many threads."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe_machine() -> dict[str, Any]:
    """Return the devices, the numbers of threads and the versions of packages."""
    device = choose_device()
    record = environment()
    return record | {
        "versions": record["versions"] | {"torch": torch.__version__},
        "cpu": cpu_name(),
        "cpus": usable_cpus(),
        "torch_device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "torch_threads": torch.get_num_threads(),
    }


def cpu_name() -> str:
    """Return the CPU's name and its vector units from /proc/cpuinfo, or else the name that Python knows."""
    try:
        with open("/proc/cpuinfo") as file:
            facts = dict(
                line.split(":", 1) for line in file.read().split("\n\n")[0].splitlines() if ":" in line
            )
    except OSError:
        return platform.processor() or platform.machine()
    facts = {key.strip(): value.strip() for key, value in facts.items()}
    units = [unit for unit in ("avx2", "avx512f", "amx_tile") if unit in facts.get("flags", "").split()]
    return " ".join([facts.get("model name", platform.machine()), *units])


def matrix_product_peak(side: int | None = None) -> dict[str, float]:
    """Return the GFLOP/s of both libraries for the product of two float32 matrices of `side`² numbers.

    The result is the fastest of `REPETITIONS` products.
    """
    device = choose_device()
    side = side or (2048 if device.type == "cpu" else 8192)
    a = torch.rand(side, side, device=device)
    b = jnp.asarray(a.cpu().numpy())
    product = jax.jit(jnp.matmul)

    def by_torch() -> None:
        torch.mm(a, a)
        synchronize(device)

    programs = {"jax": lambda: product(b, b).block_until_ready(), "pytorch": by_torch}
    return {name: 2 * side**3 / _shortest(program) / 1e9 for name, program in programs.items()}


def synchronize(device: torch.device) -> None:
    """Wait until PyTorch's device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def _shortest(program: Callable[[], object]) -> float:
    """Return the seconds of the fastest repetition, after one to warm up."""
    program()
    times = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        program()
        times.append(time.perf_counter() - start)
    return min(times)
