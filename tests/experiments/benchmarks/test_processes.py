from pathlib import Path

import pytest

pytest.importorskip("torch")

from benchmarks.processes import run_python

from jaxcolor.errors import UserError


def test_a_process_imports_the_experiments() -> None:
    code = "import benchmarks.config, reference; print(benchmarks.config.SegmentBenchmark.__name__)"
    assert run_python("jaxcolor", ["-c", code], "cache") == "SegmentBenchmark\n"


def test_a_process_uses_its_own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/the/users/own")
    code = "import os; print(os.environ['XDG_CACHE_HOME'], os.environ.get('JAX_COMPILATION_CACHE_DIR'))"
    assert run_python("jaxcolor", ["-c", code], tmp_path) == f"{tmp_path} None\n"


def test_an_error_names_the_program_and_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="pytorch eager failed: error: no data"):
        run_python("pytorch eager", ["-c", "import sys; sys.exit('reading…\\nerror: no data')"], tmp_path)
