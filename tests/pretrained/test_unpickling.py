import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pth_files import Fake, dump, tensor

from jaxcolor.pretrained.unpickling import (
    ALLOWED,
    DamagedError,
    Foreign,
    Storage,
    Tensor,
    describe,
    shorten,
    unpickle,
)


def read(value: Any) -> Any:
    return unpickle(io.BytesIO(value if isinstance(value, bytes) else dump(value)))[0]


def glob(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def test_plain_values_are_read() -> None:
    value = {"a": [1, 2.5, "x", None, True], "b": {"c": (1, -(2**70))}, 3: ()}
    assert read(value) == value


@pytest.mark.parametrize(
    "value",
    [
        Fake("os", "system", "touch hacked"),
        Fake("builtins", "eval", "open('hacked', 'w')"),
        Fake("torch", "load", "x"),
        Fake("pathlib", "PosixPath", "hacked"),
        {"deep": [Fake("os", "system", "touch hacked")]},
    ],
)
def test_no_other_function_is_called(value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = read(value)
    found = found["deep"][0] if isinstance(found, dict) else found
    assert isinstance(found, Foreign)
    assert not os.listdir(tmp_path)


def test_an_object_of_another_class_keeps_nothing() -> None:
    """As Python pickles objects, with a state, with items, and called again."""
    made = glob("argparse", "Namespace") + b")\x81"
    state = dump({"lr": 0.1, "name": "x"})[2:-1] + pickle.BUILD
    items = b"(K\x01K\x02u(K\x01K\x02eK\x03a"
    called = b")R"
    found = read(b"\x80\x02" + made + state + items + called + pickle.STOP)
    assert isinstance(found, Foreign)
    assert describe(found) == "an object of argparse.Namespace"
    assert not hasattr(found, "__dict__")
    assert not hasattr(found, "lr")


@pytest.mark.parametrize("name", [("torch._utils", "_rebuild_tensor_v2"), ("torch", "FloatStorage")])
@pytest.mark.parametrize("state", [{"function": 1}, {"__call__": 1}, {"dtype": "O"}])
def test_a_pickle_changes_none_of_the_allowed_functions(name: tuple[str, str], state: dict) -> None:
    before = ALLOWED[name]
    for content in (dump(state), dump((None, state))):
        with pytest.raises((AttributeError, TypeError, pickle.UnpicklingError)):
            read(b"\x80\x02" + glob(*name) + content[2:-1] + pickle.BUILD + pickle.STOP)
    assert ALLOWED[name] == before
    assert not hasattr(before, "__dict__")


def test_a_pickle_changes_no_storage_after_its_checks() -> None:
    storage = dump(("persistent", "storage", Fake("torch", "FloatStorage"), "0", "cpu", 6))[2:-1]
    for content in (dump(["0", -1]), dump({"length": -1}), dump((None, {"length": -1}))):
        with pytest.raises((AttributeError, TypeError, pickle.UnpicklingError)):
            read(b"\x80\x02" + storage + content[2:-1] + pickle.BUILD + pickle.STOP)


def test_tensors_of_any_version_of_pytorch() -> None:
    expected = Tensor(Storage(np.dtype(np.float32), "0", 6), 0, (2, 3), (3, 1))
    v2 = tensor()
    assert read(v2) == expected
    assert read(Fake("torch._utils", "_rebuild_tensor", *v2.arguments[:4])) == expected
    assert read(Fake("torch._utils", "_rebuild_parameter", v2, True, None)) == expected
    assert read(Fake("torch._utils", "_rebuild_parameter_with_state", v2, True, None, {})) == expected
    assert describe(expected) == "a tensor"


def test_a_storage_in_text_is_one_of_pytorchs() -> None:
    text = "('storage', <class 'torch.FloatStorage'>, '0', 'cpu', 6, None)"
    assert read(f"P{text}\n.".encode()) == Storage(np.dtype(np.float32), "0", 6)
    for other in ("'storage'", text.replace("6", "-1"), text.replace("torch.", "os."), "x" * 200):
        with pytest.raises(DamagedError, match="it names a storage as") as error:
            read(f"P{other}\n.".encode())
        assert len(str(error.value)) < 200


def test_a_tensor_of_unknown_numbers_is_foreign() -> None:
    storage = ("persistent", "storage", Fake("torch", "ComplexFloatStorage"), "0", "cpu", 6)
    found = read(Fake("torch._utils", "_rebuild_tensor_v2", storage, 0, (2,), (1,), False, None))
    assert describe(found) == "an object of torch.ComplexFloatStorage"


def test_descriptions_fit_on_a_line() -> None:
    assert describe(read(Fake("torch", "float32"))) == "torch.float32"
    assert describe({"a": 1}) == "a dictionary of 1"
    assert describe(3) == "a value of type int"
    assert shorten("a\nb\x1b[31m") == r"'a\nb\x1b[31m'"
    assert shorten("x" * 100) == "x" * 80 + "…"
