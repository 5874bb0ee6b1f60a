from pathlib import Path

import pytest

pytest.importorskip("torch")

from benchmarks.whole_run import output_of

from jaxcolor.errors import UserError


def test_programs_have_a_cache_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/the/users/own")
    code = "import os; print(os.environ['XDG_CACHE_HOME'], os.environ.get('JAX_COMPILATION_CACHE_DIR'))"
    assert output_of("ours", ["-c", code], str(tmp_path)) == f"{tmp_path} None\n"


def test_a_program_that_fails_is_named_with_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="theirs failed: error: no data"):
        output_of("theirs", ["-c", "import sys; sys.exit('reading…\\nerror: no data')"], str(tmp_path))
