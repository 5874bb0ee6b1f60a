"""How programs are compiled, cached and given memory on this device."""

import ctypes
import functools
import os
import warnings
from collections.abc import Callable
from typing import Any

import jax

from jaxcolor.errors import UserError
from jaxcolor.files import cache_folder

# On a CPU the convolutions, matrix products and sums of oneDNN and YNNPACK are faster than XLA's own. The
# options are experimental: a version of XLA that does not know one refuses it.
CPU_OPTIONS: dict[str, bool | str] = {
    "xla_cpu_experimental_onednn_custom_call": True,
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE",
}

# `--precision` → JAX's precision of float32 products on a GPU. A CPU has only one.
MATMUL_PRECISION = {"float32": "highest", "tf32": "tensorfloat32", "bfloat16": "tensorfloat32"}


def jit(function: Callable, **options: Any) -> Any:
    """`jax.jit` with the compiler options that are fastest on this device."""
    return jax.jit(function, compiler_options=compiler_options(jax.default_backend()), **options)


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

    Raises `UserError` if the device does not have that precision.
    """
    set_matmul_precision(precision)
    keep_freed_memory()
    cache_compilations()


def set_matmul_precision(precision: str) -> None:
    """Set the precision of float32 products. Raises `UserError` if the device does not have it."""
    if precision == "tf32" and jax.default_backend() == "cpu":
        raise UserError("--precision tf32 is for GPUs: leave it out, or choose bfloat16")
    jax.config.update("jax_default_matmul_precision", MATMUL_PRECISION[precision])


def cache_compilations() -> None:
    """Cache compiled programs in the user's cache folder, or in $JAX_COMPILATION_CACHE_DIR."""
    # This version of XLA cannot serialize programs that call oneDNN: each run compiles them again.
    warnings.filterwarnings("ignore", "Error writing persistent compilation cache entry.*bad_alloc")
    # By default JAX does not cache programs that compile in under a second.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = cache_folder() / "compiled"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # without a writable home every run compiles again
    jax.config.update("jax_compilation_cache_dir", str(folder))


# Options of glibc's mallopt for a process that allocates the same large arrays again and again.
_KEEP = {
    -8: 1,  # M_ARENA_MAX: one heap for all threads
    -4: 0,  # M_MMAP_MAX: large arrays come from the heap, too
    -1: 2**31 - 1,  # M_TRIM_THRESHOLD: the process keeps freed memory
    -2: 2**26,  # M_TOP_PAD: the heap grows by at least 64 MiB
}
# And for a process whose arrays are so large that a fragmented heap would grow to several times their size.
_RETURN = {
    -4: 2**16,  # M_MMAP_MAX, its default
    -3: 2**25,  # M_MMAP_THRESHOLD: arrays from 32 MiB on, the largest value, come from the system
}


def keep_freed_memory() -> bool:
    """Reuse freed memory instead of returning it to the system. Returns False without the GNU C library.

    A train step on a CPU has some hundred MB of temporary arrays. By default each call returns them to the
    system and takes them again page by page, which is a sixth of its time.
    """
    return _mallopt(_KEEP)


def return_large_arrays() -> bool:
    """Return arrays of 32 MiB and more to the system when they are freed. Returns False without glibc.

    For steps with arrays of some hundred MB: it takes 5 % longer and halves the memory, which would otherwise
    grow with the number of steps.
    """
    return _mallopt(_RETURN)


def _mallopt(options: dict[int, int]) -> bool:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, Windows, musl
        return False
    accepted = [mallopt(option, value) for option, value in options.items()]
    return all(accepted)
