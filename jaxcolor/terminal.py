"""The standard streams of a script, and the messages of other libraries on them."""

import codecs
import contextlib
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from jaxcolor.errors import UserError

# The characters of our texts for terminals that have no Unicode.
ASCII = str.maketrans({
    "–": "-", "—": "-", "−": "-", "×": "x", "·": "*", "…": "...", "√": "sqrt", "²": "^2", "³": "^3",
    "─": "-", "│": "|", "┌": "+", "┐": "+", "└": "+", "┘": "+",
})  # fmt: skip


def encode_otherwise(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replace what a stream cannot encode: by similar characters, or by escapes such as `\\u4f60`.

    The bytes of a file name that is no Unicode are written as they are.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    if "\udc80" <= character <= "\udcff":
        return bytes([ord(character) - 0xDC00]), error.start + 1
    return character.translate(ASCII).encode("ascii", "backslashreplace").decode(), error.start + 1


codecs.register_error("jaxcolor", encode_otherwise)


def prepare_streams() -> None:
    """Make printing safe: with any encoding, and with streams that the shell has closed (`>&-`)."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, _open_nothing(descriptor, name))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a notebook's streams take any character
            stream.reconfigure(errors="jaxcolor")


def _open_nothing(descriptor: int, name: str) -> TextIO:
    """Open the null device. It also takes the stream's descriptor, which a file would get otherwise."""
    try:
        os.fstat(descriptor)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)
        if null != descriptor:
            os.dup2(null, descriptor)
            os.close(null)
    return open(os.devnull, "r" if name == "stdin" else "w")


def flush_streams() -> None:
    """Flush both streams. One that fails is closed quietly, because it would fail again at the exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)


class OneLine(logging.Handler):
    """Prints the first line of each message as a warning, without tracebacks."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage().strip()
        if text.startswith("mkdir -p failed"):  # Matplotlib says the same again, and what it does about it
            return
        line = (text.splitlines() or [""])[0].split("; it is highly recommended")[0]
        print(f"warning: {line}", file=sys.stderr, flush=True)


class LogFile(logging.FileHandler):
    """Appends messages to a file, which the first one creates. On a full disk it does nothing."""

    def __init__(self, path: Path):
        super().__init__(path, encoding="utf-8", errors="backslashreplace", delay=True)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # where the file cannot be created
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Drop the message: the error that stops the run says that the disk is full."""


@contextlib.contextmanager
def one_line_messages() -> Iterator[None]:
    """Print messages that libraries log, and warnings, as one line each."""
    handler = OneLine(logging.WARNING)
    root = logging.getLogger()
    root.addHandler(handler)
    before = warnings.showwarning
    warnings.showwarning = log_warning
    try:
        yield
    finally:
        warnings.showwarning = before
        root.removeHandler(handler)


@contextlib.contextmanager
def messages_into(path: Path) -> Iterator[None]:
    """Append what libraries log, their warnings, and the errors of their threads to a file.

    A checkpoint that cannot be written is one error to the user, but hundreds of lines to orbax. Many of them
    come late. So after an error that ends a script, messages still go to the file.
    """
    root = logging.getLogger()
    on_terminal = [handler for handler in root.handlers if isinstance(handler, OneLine)]
    handler = LogFile(path)
    before = warnings.showwarning, sys.unraisablehook, threading.excepthook
    root.addHandler(handler)
    for other in on_terminal:
        root.removeHandler(other)

    def log_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
        """Log an error that no code can catch, such as one in a callback of tensorstore."""
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            before[1](unraisable)
        else:
            log_error(unraisable.exc_type, unraisable.exc_value, unraisable.exc_traceback)

    warnings.showwarning, sys.unraisablehook, threading.excepthook = (
        log_warning, log_unraisable, log_thread_error,
    )  # fmt: skip
    ends_script = False
    try:
        yield
    except (UserError, OSError):
        ends_script = bool(on_terminal)
        raise
    finally:
        if not ends_script:
            warnings.showwarning, sys.unraisablehook, threading.excepthook = before
            for other in on_terminal:
                root.addHandler(other)
            root.removeHandler(handler)
            with contextlib.suppress(OSError):  # of a full disk
                handler.close()


def log_warning(message: Warning | str, category: type[Warning], *where: Any, **rest: Any) -> None:
    """Log a Python warning."""
    logging.getLogger("py.warnings").warning("%s: %s", category.__name__, message)


def log_error(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """Log an error with its traceback."""
    logging.getLogger(__name__).error("an error that no code catches", exc_info=(kind, error, trace))  # type: ignore[arg-type]


def log_thread_error(arguments: threading.ExceptHookArgs) -> None:
    """Log an error that ended a thread."""
    log_error(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
