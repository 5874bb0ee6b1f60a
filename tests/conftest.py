"""Fixtures: a small archive, and folders that no test shares with the user."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from archives import archive_files, write_tar

# Shapes and dtypes of all annotated functions are checked, in tests only.
from jaxtyping import install_import_hook

install_import_hook("jaxcolor", "typechecker.check")

# The user's caches are not touched, and compiled programs are shared by the tests of a session.
_CACHE = tempfile.TemporaryDirectory(prefix="jaxcolor-tests-")
os.environ["XDG_CACHE_HOME"] = _CACHE.name
# Tolerances are those of float32 on a CPU.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Compiling is most of the tests' time; the programs, on few images, may be slow.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of 40 horses to train on and 12 to test with, and some cats."""
    return write_tar(tmp_path_factory.mktemp("archive") / "cifar.tar.gz", archive_files(40, 12))


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tests of a session prepare data."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell lets what it starts in the background ignore Ctrl-C, and so would all that the tests start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches the network: every connection fails as it does without one."""
    import requests

    def refuse(*_: object, **__: object) -> None:
        raise requests.ConnectionError("no network in tests")

    monkeypatch.setattr(requests.Session, "request", refuse)


@pytest.fixture(autouse=True)
def plain_compiler_options(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs with oneDNN's calls cannot be kept between tests, so that most do without; those of the
    options themselves and whole programs in their own process have them."""
    from jaxcolor.training import compilation

    if "compilation" not in request.node.path.stem:
        monkeypatch.setattr(compilation, "compiler_options", lambda backend: {})
