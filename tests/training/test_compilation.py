import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcolor.errors import UserError
from jaxcolor.training import compilation
from jaxcolor.training.compilation import compiler_options

PROGRAM = """
import jax, jax.numpy as jnp
from jaxcolor.training.compilation import cache_compilations
cache_compilations()
print(jax.jit(lambda x: x + 1)(jnp.ones(3)).sum())
"""


def run(cache: Path, err: str = "", **variables: str) -> str:
    """Return the program's output. `err` is a part of its only line of standard error."""
    env = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    env |= {"XDG_CACHE_HOME": str(cache), **variables}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM], env=env, capture_output=True, text=True, check=True
    )
    assert err in done.stderr
    assert len(done.stderr.splitlines()) == bool(err)
    return done.stdout


def test_compiled_programs_are_cached(tmp_path: Path) -> None:
    assert run(tmp_path) == "6.0\n"
    kept = sorted((tmp_path / "jaxcolor" / "compiled").iterdir())
    assert kept
    assert run(tmp_path) == "6.0\n"
    assert len(sorted((tmp_path / "jaxcolor" / "compiled").iterdir())) == len(kept)


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_an_unwritable_cache_folder_is_a_warning(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    assert run(tmp_path / place, "warning: cannot write into") == "6.0\n"
    assert run(tmp_path, "every run compiles", JAX_COMPILATION_CACHE_DIR=str(tmp_path / place)) == "6.0\n"
    assert run(tmp_path, "", JAX_COMPILATION_CACHE_DIR=str(tmp_path / "mine")) == "6.0\n"
    assert list((tmp_path / "mine").iterdir())


@pytest.mark.parametrize("platform", ["cuda", "nonsense", "nonsense,cuda"])
def test_a_platform_that_is_not_here_is_one_line(platform: str) -> None:
    program = "from jaxcolor.cli import run_script; from jaxcolor.training.compilation import set_up; "
    program += "run_script(lambda: set_up('float32'))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"JAX_PLATFORMS": platform},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: JAX_PLATFORMS is {platform}, but JAX finds only ")
    assert "cpu" in done.stderr
    assert done.stderr.endswith(" here: unset JAX_PLATFORMS\n")
    assert len(done.stderr.splitlines()) == 1


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


def test_the_options_change_no_numbers() -> None:
    """A convolution with its gradients, and a product, by oneDNN where it is accepted."""

    def loss(x: jax.Array, kernel: jax.Array) -> jax.Array:
        out = jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return jnp.square(out.reshape(-1, 8) @ jnp.cos(kernel[0, 0].T)).sum() / out.size

    x = jax.random.normal(jax.random.key(0), (4, 8, 8, 16))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 16, 8)) / 12
    fast, plain = (
        compile_with(jax.value_and_grad(loss, (0, 1)))(x, kernel)
        for compile_with in (compilation.jit, jax.jit)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), fast, plain)


def test_products_of_lower_precision_are_for_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="tf32 is for GPUs"):
        compilation.set_matmul_precision("tf32")
    try:
        monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
        compilation.set_matmul_precision("tf32")
        program = jax.jit(jnp.dot).lower(jnp.ones((2, 2)), jnp.ones((2, 2)))
        assert "precision = [HIGH, HIGH]" in program.as_text()  # HIGH is TF32, HIGHEST is float32
    finally:
        jax.config.update("jax_default_matmul_precision", None)
