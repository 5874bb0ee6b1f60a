"""How programs are compiled and cached on this device."""

import functools
import os
import warnings
from collections.abc import Callable
from typing import Any

import jax

from jaxcolor.errors import UserError
from jaxcolor.files import cache_folder
from jaxcolor.training.memory import keep_freed_memory

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
