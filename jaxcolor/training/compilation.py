"""How programs are compiled: with the options that are fastest on the device, and kept between runs."""

import functools
import os
import warnings
from collections.abc import Callable
from typing import Any

import jax

from jaxcolor.errors import UserError
from jaxcolor.files import cache_folder

# On a CPU XLA's own convolutions, products and sums are slower than those of libraries that it can hand them
# to: oneDNN and, for sums, YNNPACK. The options are XLA's experiments: a version that does not know one
# refuses it.
CPU_OPTIONS: dict[str, bool | str] = {
    "xla_cpu_experimental_onednn_custom_call": True,
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE",
}


# What a GPU multiplies float32 numbers with; a CPU has but one way.
PRODUCTS = {"float32": "highest", "tf32": "tensorfloat32", "bfloat16": "tensorfloat32"}


def jit(function: Callable, **options: Any) -> Any:
    """`jax.jit` with the compiler's options that are fastest on this device."""
    return jax.jit(function, compiler_options=compiler_options(jax.default_backend()), **options)


@functools.cache
def compiler_options(backend: str) -> dict[str, bool | str]:
    """The options for a backend that this version of JAX accepts."""
    if backend != "cpu":
        return {}
    return {name: value for name, value in CPU_OPTIONS.items() if _is_accepted({name: value})}


def multiply_with(precision: str) -> None:
    """Let JAX multiply float32 numbers with a precision of `PRODUCTS`; `UserError` where there is none."""
    if precision == "tf32" and jax.default_backend() == "cpu":
        raise UserError("--precision tf32 is for GPUs: leave it out, or take bfloat16")
    jax.config.update("jax_default_matmul_precision", PRODUCTS[precision])


def _is_accepted(options: dict[str, bool | str]) -> bool:
    try:
        jax.jit(lambda x: x, compiler_options=options).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


def cache_compilations() -> None:
    """Let JAX keep what it compiles in the user's cache folder, or in $JAX_COMPILATION_CACHE_DIR."""
    # Programs with oneDNN's calls cannot be kept by this XLA: each run compiles them again, in seconds.
    warnings.filterwarnings("ignore", "Error writing persistent compilation cache entry.*bad_alloc")
    # By default programs that compile in under a second are left out.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = cache_folder() / "compiled"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # a home that cannot be written costs each run its compilation
    jax.config.update("jax_compilation_cache_dir", str(folder))
