import io
import sys

import pytest
from benchmarks.status import status


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "shown"), [(Terminal(), True), (io.StringIO(), False)])
def test_a_line_shows_on_terminals_only_and_goes(
    stream: io.StringIO, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    with status("compiling"):
        during = stream.getvalue()
    assert ("compiling" in during) == shown
    last = stream.getvalue().removeprefix(during)
    assert "compiling" not in last
    assert last.endswith("\r") == shown
