"""Compiled programs are kept between runs."""

import os

import jax

from jaxcolor.files import cache_folder


def cache_compilations() -> None:
    """Let JAX keep what it compiles in the user's cache folder, or in $JAX_COMPILATION_CACHE_DIR."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "compiled"))
    # By default programs that compile in under a second are left out.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
