"""Compiled programs are kept between runs."""

import os

import jax

from jaxcolor.files import cache_folder


def cache_compilations() -> None:
    """Let JAX keep what it compiles in the user's cache folder, or in $JAX_COMPILATION_CACHE_DIR."""
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
