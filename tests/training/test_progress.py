import io
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jaxcolor.training import progress as module
from jaxcolor.training.progress import Progress

WIDGETS = """
class Widget:
    value = bar_style = ""
    def __init__(self, *args, **options):
        self.style = self.layout = type("Style", (), {})()
    def close(self): pass
HTML = FloatProgress = Widget
class HBox(Widget):
    def __init__(self, children=()):
        super().__init__()
        self.children = children
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Replace standard error by a terminal. A fixture could not: pytest sets the streams after it."""
    err = Terminal()
    monkeypatch.setattr(sys, "stderr", err)
    return err


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_the_bar_shows_on_terminals_only(
    stream: type[io.StringIO], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    err = stream()
    monkeypatch.setattr(sys, "stderr", err)
    with Progress(total=200, done=100) as progress:
        progress.wait("compiling")
        progress.advance(50, "epoch 2  loss 1.2500")
        progress.line("a line that stays")
    assert capsys.readouterr().out == "a line that stays\n"
    if stream is Terminal:
        assert "epoch 2  loss 1.2500" in err.getvalue()
        assert "75%" in err.getvalue()
        assert "left" in err.getvalue()
    else:
        assert err.getvalue() == ""


def test_the_seconds_of_compiling_are_counted_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    err = terminal(monkeypatch)
    monkeypatch.setattr(module, "SECONDS_PER_REFRESH", 0.05)
    with Progress(total=200, done=0) as progress:
        assert "compiling … 0 s" in err.getvalue()
        time.sleep(1.3)
        assert "compiling … 1 s" in err.getvalue()
        assert "%|" not in err.getvalue()
        progress.advance(100, "epoch 1")
        shown = len(err.getvalue())
        time.sleep(0.2)
        assert "compiling" not in err.getvalue()[shown:]
        progress.wait("evaluating")
        assert "evaluating … 0 s" in err.getvalue()[shown:]


def test_the_rate_counts_from_the_end_of_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    err = terminal(monkeypatch)
    now = 1000.0
    monkeypatch.setattr("time.time", lambda: now)
    with Progress(total=400, done=0) as progress:
        monkeypatch.setattr(progress._bar, "_time", lambda: now)
        now += 60  # to compile
        progress.advance(100, "epoch 1")
        now += 2
        progress.advance(100, "epoch 1")
        assert "50%" in err.getvalue()
        assert "50.0 images/s, 00:04 left" in err.getvalue()


@pytest.mark.parametrize("widgets", [True, False])
def test_notebooks_show_the_bar_without_a_warning(widgets: bool, tmp_path: Path) -> None:
    """With a stub of IPython, whose output is no terminal; without ipywidgets there is a bar of text."""
    for package in ("IPython", "ipykernel"):
        (tmp_path / package).mkdir()
    (tmp_path / "IPython/__init__.py").write_text("def get_ipython(): pass")
    (tmp_path / "IPython/display.py").write_text("def display(*args): print('displayed')")
    (tmp_path / "ipykernel/__init__.py").touch()
    (tmp_path / "ipykernel/zmqshell.py").touch()
    (tmp_path / "ipywidgets.py").write_text(WIDGETS if widgets else "raise ImportError")
    program = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import IPython, ipykernel.zmqshell
from jaxcolor.training import progress
with progress.Progress(4, 0) as bar:
    bar.advance(2, "epoch 1")
    bar.line("a line that stays")
print([one.__name__ for one in progress.tqdm.__mro__ if one.__name__ == "tqdm_notebook"])
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True
    )
    if widgets:
        assert done.stdout.splitlines() == ["displayed", "a line that stays", "['tqdm_notebook']"]
        assert done.stderr == ""
    else:
        assert done.stdout.splitlines() == ["a line that stays", "[]"]
        assert "epoch 1  50%" in done.stderr
        assert "Warning" not in done.stderr
