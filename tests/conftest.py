"""Fixtures: a small archive, folders that no test shares with the user, and compiler options."""

import importlib
import os
import runpy
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from archives import archive_files, write_tar
from jaxtyping import install_import_hook

# Leave the user's caches alone, and share compiled programs between all tests and processes of a session.
if "JAXCOLOR_TEST_SESSION" not in os.environ:
    _CACHE = tempfile.TemporaryDirectory(prefix="jaxcolor-tests-")
    os.environ["JAXCOLOR_TEST_SESSION"] = os.environ["XDG_CACHE_HOME"] = _CACHE.name
    # JAX reads both when it is imported. A folder that is set after the first compilation is ignored.
    os.environ["JAX_COMPILATION_CACHE_DIR"] = os.path.join(_CACHE.name, "compiled")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
# The tolerances are for float32 on a CPU.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Compiling takes most of the time of the tests, so programs are compiled without optimization by default.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)

# The hook below makes Python compile every module that a checked module is the first to import.
for _name in ("jax", "matplotlib.pyplot", "optax", "orbax.checkpoint", "scipy.stats", "tensorflow_datasets"):
    importlib.import_module(_name)

# Check the shapes and dtypes of all annotated functions, in tests only.
install_import_hook(["jaxcolor", "analysis", "benchmarks", "page", "reference"], "typechecker.check")

OPTIMIZED: dict[str, bool | str | int] = {
    "xla_backend_optimization_level": 3,
    "xla_llvm_disable_expensive_passes": False,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the files that have slow tests, so that all processes end at about the same time."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive with 40 train and 12 test images of horses, and some cats."""
    return write_tar(tmp_path_factory.mktemp("archive") / "cifar.tar.gz", archive_files(40, 12))


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the tests of a session prepare data."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let child processes react to Ctrl-C, which a shell disables for programs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def run_script(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[str, str]]:
    """A function that runs a script in this process, and returns what it prints.

    It takes the script and its options. A process of its own costs seconds, and compiles its programs anew.
    """

    def run(script: Path, *options: object) -> tuple[str, str]:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", [str(script), *map(str, options)])
            patch.setattr(sys, "path", [str(script.parent), *sys.path])
            patch.setattr(sys, "unraisablehook", sys.unraisablehook)
            runpy.run_path(str(script), run_name="__main__")
        return capsys.readouterr()

    return run


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection, as a machine without a network does."""
    import requests

    def refuse(*_: object, **__: object) -> None:
        raise requests.ConnectionError("no network in tests")

    monkeypatch.setattr(requests.Session, "request", refuse)


@pytest.fixture(autouse=True)
def compiler_options(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile as `jaxcolor.training.compilation.jit` does for users in tests marked `shipped` only.

    Other tests compile without optimization and without oneDNN, whose programs cannot be cached.
    """
    if request.node.get_closest_marker("shipped"):
        set_shipped_options(monkeypatch)
    else:
        monkeypatch.setattr(compilation(), "compiler_options", lambda backend: {})


@pytest.fixture(params=["unoptimized", "shipped"])
def each_option(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, compiler_options: None
) -> None:
    """Run a test twice: with the compiler options of the tests, and with those of users."""
    if request.param == "shipped":
        set_shipped_options(monkeypatch)


def set_shipped_options(monkeypatch: pytest.MonkeyPatch) -> None:
    original = compilation().compiler_options
    monkeypatch.setattr(compilation(), "compiler_options", lambda backend: original(backend) | OPTIMIZED)


def compilation() -> ModuleType:
    """Import late, after the environment variables above are set."""
    from jaxcolor.training import compilation

    return compilation
