"""How programs are compiled and cached on this device."""

import functools
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jax.extend.backend import backends

from jaxcolor.errors import UserError, reason
from jaxcolor.files import cache_folder, check_writable
from jaxcolor.training.memory import keep_freed_memory

# On a CPU the convolutions, matrix products and sums of oneDNN and YNNPACK are faster than XLA's own. The
# options are experimental: a version of XLA that does not know one refuses it.
CPU_OPTIONS: dict[str, bool | str] = {
    "xla_cpu_experimental_onednn_custom_call": True,
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE",
}

# Four times as fast to compile. At level 0 LLVM makes code that rounds differently.
FAST_TO_COMPILE = {"xla_backend_optimization_level": 1}

# `--precision` → JAX's precision of float32 products on a GPU. A CPU has only one.
MATMUL_PRECISION = {"float32": "highest", "tf32": "tensorfloat32", "bfloat16": "tensorfloat32"}


def jit(function: Callable, **options: Any) -> Any:
    """`jax.jit` with the compiler options that are fastest on this device."""
    return jax.jit(function, compiler_options=compiler_options(jax.default_backend()), **options)


def jit_once(function: Callable, **options: Any) -> Any:
    """`jax.jit` for a program that runs once: it compiles fast, and runs slower. The numbers are the same."""
    fast = FAST_TO_COMPILE if jax.default_backend() == "cpu" else {}
    return jax.jit(function, compiler_options=dict(fast), **options)


@functools.cache
def compiler_options(backend: str) -> dict[str, bool | str]:
    """Return the options for a backend that this version of JAX accepts."""
    if backend != "cpu":
        return {}
    return {name: value for name, value in CPU_OPTIONS.items() if _is_accepted({name: value})}


def _is_accepted(options: dict[str, bool | str]) -> bool:
    try:
        jax.jit(lambda x: x, compiler_options=options).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


def set_up(precision: str) -> None:
    """Prepare the process for training or prediction with a `precision` of `MATMUL_PRECISION`.

    Raises `UserError` if JAX has no device, or the device does not have that precision.
    """
    check_platforms()
    set_matmul_precision(precision)
    keep_freed_memory()
    cache_compilations()


def check_platforms() -> None:
    """Raise `UserError` if JAX_PLATFORMS names a platform that is not here."""
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # JAX 0.12 asserts that CUDA's plugin is installed
        wanted = jax.config.values["jax_platforms"]
        if not wanted:
            raise
        jax.config.update("jax_platforms", None)
        found = ", ".join(sorted(backends()))
        jax.config.update("jax_platforms", wanted)
        raise UserError(
            f"JAX_PLATFORMS is {wanted}, but JAX finds only {found} here: unset JAX_PLATFORMS"
        ) from error


def set_matmul_precision(precision: str) -> None:
    """Set the precision of float32 products. Raises `UserError` if the device does not have it."""
    if precision == "tf32" and jax.default_backend() == "cpu":
        raise UserError("--precision tf32 is for GPUs: leave it out, or choose bfloat16")
    jax.config.update("jax_default_matmul_precision", MATMUL_PRECISION[precision])


def cache_compilations() -> None:
    """Cache compiled programs in the user's cache folder, or in $JAX_COMPILATION_CACHE_DIR.

    Prints a warning if that cannot be written.
    """
    # The folder is writable, but this version of XLA cannot serialize programs that call oneDNN, and a disk
    # that becomes full leaves broken files: such programs are compiled again by the next run.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry")
    # By default JAX does not cache programs that compile in under a second.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    place = os.environ.get("JAX_COMPILATION_CACHE_DIR") or str(cache_folder() / "compiled")
    if "://" not in place:
        try:
            check_writable(Path(place))
        except OSError as error:
            print(
                f"warning: cannot write into {place} ({reason(error)}): every run compiles anew",
                file=sys.stderr,
                flush=True,
            )
            jax.config.update("jax_compilation_cache_dir", None)
            return
    jax.config.update("jax_compilation_cache_dir", place)
