import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxcolor.training import compilation
from jaxcolor.training.compilation import compiler_options

PROGRAM = """
import jax, jax.numpy as jnp
from jaxcolor.training.compilation import cache_compilations
cache_compilations()
print(jax.jit(lambda x: x + 1)(jnp.ones(3)).sum())
"""


def run(cache: Path) -> str:
    env = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    env["XDG_CACHE_HOME"] = str(cache)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM], env=env, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_programs_are_kept(tmp_path: Path) -> None:
    assert run(tmp_path) == "6.0\n"
    kept = sorted((tmp_path / "jaxcolor" / "compiled").iterdir())
    assert kept
    assert run(tmp_path) == "6.0\n"
    assert len(sorted((tmp_path / "jaxcolor" / "compiled").iterdir())) == len(kept)


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_place_that_cannot_be_written_is_done_without(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    assert run(tmp_path / place) == "6.0\n"


def test_options_that_this_version_refuses_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        compilation, "CPU_OPTIONS", {"xla_no_such_option": True, "xla_embed_ir_in_executable": False}
    )
    compiler_options.cache_clear()
    try:
        assert compiler_options("cpu") == {"xla_embed_ir_in_executable": False}
        assert float(compilation.jit(lambda x: 2 * x)(3.0)) == 6
    finally:
        compiler_options.cache_clear()


def test_a_gpu_has_no_options_of_a_cpu() -> None:
    assert compiler_options("gpu") == {}
