import io
import sys

import pytest

from jaxcolor.training.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_the_bar_shows_on_terminals_only(
    stream: type[io.StringIO], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    err = stream()
    monkeypatch.setattr(sys, "stderr", err)
    with Progress(total=200, done=100) as progress:
        progress.advance(50, "epoch 2  loss 1.2500")
        progress._bar.refresh()
        progress.line("a line that stays")
    assert capsys.readouterr().out == "a line that stays\n"
    if stream is Terminal:
        assert "epoch 2  loss 1.2500" in err.getvalue()
        assert "75%" in err.getvalue()
        assert "left" in err.getvalue()
    else:
        assert err.getvalue() == ""
