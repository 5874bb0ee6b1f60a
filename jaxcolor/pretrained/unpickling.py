"""Pickles of tensors, read without running code from them.

A pickle may call any function of any module. Here only the few calls that make up a dictionary of tensors are
made. Every other function or class, such as argparse.Namespace, is replaced by one that does nothing.
"""

import io
import math
import pickle
import pickletools
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

ADVICE = "save the weights alone: torch.save(model.state_dict(), FILE)"
DTYPES = {
    "DoubleStorage": np.float64, "FloatStorage": np.float32, "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16, "LongStorage": np.int64, "IntStorage": np.int32,
    "ShortStorage": np.int16, "CharStorage": np.int8, "ByteStorage": np.uint8, "BoolStorage": np.bool_,
}  # fmt: skip
# The opcodes that a pickle of tensors and their containers needs, by the names of pickletools.
STEPS = {
    "PROTO", "FRAME", "STOP", "GLOBAL", "STACK_GLOBAL", "REDUCE", "NEWOBJ", "BUILD", "BINPERSID", "MARK",
    "BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET", "NONE", "NEWTRUE", "NEWFALSE",
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE",
    "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS",
    "EMPTY_DICT", "SETITEM", "SETITEMS",
    # those of the protocols 0 and 1, and the strings of Python 2
    "PERSID", "PUT", "GET", "INT", "LONG", "FLOAT", "UNICODE", "LIST", "DICT",
    "STRING", "BINSTRING", "SHORT_BINSTRING",
}  # fmt: skip

# A storage in protocol 0, as text.
STORAGE = re.compile(r"\('storage', <class 'torch\.(\w+)'>, '(\w+)', '[\w:]+', (\d+)(, None)?\)")

File = io.BytesIO | io.BufferedReader


class DamagedError(Exception):
    """The file is damaged, or not a file of weights."""


class StorageType(NamedTuple):
    """A storage class of PyTorch, such as torch.FloatStorage."""

    dtype: type


class Storage(NamedTuple):
    """An array of numbers that several tensors may share.

    A pickle may set attributes of what it makes. It cannot change a named tuple.
    """

    dtype: np.dtype
    key: str
    length: int

    @property
    def bytes(self) -> int:
        return self.length * self.dtype.itemsize


class Tensor(NamedTuple):
    """A view of a storage. Offset and strides count numbers, not bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def of(self, numbers: np.ndarray) -> np.ndarray:
        """Return the tensor as an array, given the numbers of its storage."""
        sizes = (self.offset, *self.shape, *self.strides)
        if not all(isinstance(n, int) and n >= 0 for n in sizes) or len(self.shape) != len(self.strides):
            raise DamagedError("a tensor has an impossible shape")
        if not math.prod(self.shape):
            return np.zeros(self.shape, numbers.dtype)
        last = sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
        if self.offset + last >= len(numbers):
            raise DamagedError("a tensor reaches beyond its storage")
        strides = [stride * numbers.itemsize for stride in self.strides]
        # Strides of 0 could claim any size. The copy lets the storage go.
        if math.prod(self.shape) > len(numbers):
            raise DamagedError("a tensor is larger than its storage")
        return np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, strides).copy()


class Ordered(OrderedDict):
    """A collections.OrderedDict that records keys which are set twice."""

    def __init__(self, *args: Any):
        self.duplicates: list[str] = []
        super().__init__(*args)

    def __setitem__(self, key: Any, value: Any) -> None:
        if key in self:
            self.duplicates.append(str(key))
        super().__setitem__(key, value)

    def __setstate__(self, state: object) -> None:
        """Ignore PyTorch's versions of modules."""


class Foreign:
    """The place of an object that is not read. It keeps nothing of what the pickle gives to it."""

    __slots__ = ()
    name = ""  # of the class or function that the pickle asks for

    def __new__(cls, *_: Any, **__: Any) -> "Foreign":
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any):
        pass

    def __call__(self, *_: Any, **__: Any) -> "Foreign":
        return self

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, item: object) -> None:
        pass

    def extend(self, items: object) -> None:
        pass


class Call(NamedTuple):
    """A function that a pickle may call."""

    function: Callable[..., Any]

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor | Foreign:
    if isinstance(storage, Foreign):
        return storage
    if not isinstance(storage, Storage):
        raise DamagedError("a tensor has no storage")
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(tensor: Any, *_: Any) -> Any:
    return tensor


ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): Ordered,
    ("torch._utils", "_rebuild_tensor"): Call(_rebuild_tensor),  # until PyTorch 0.3
    ("torch._utils", "_rebuild_tensor_v2"): Call(_rebuild_tensor),
    ("torch._utils", "_rebuild_parameter"): Call(_rebuild_parameter),
    ("torch._utils", "_rebuild_parameter_with_state"): Call(_rebuild_parameter),
    **{("torch", name): StorageType(dtype) for name, dtype in DTYPES.items()},
}


class _Unpickler(pickle.Unpickler):
    """An unpickler for tensors, numbers, strings and containers. Anything else becomes `Foreign`."""

    def __init__(self, file: File):
        super().__init__(file, encoding="utf-8")
        self.storages: dict[str, Storage | Foreign] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in ALLOWED:
            return ALLOWED[module, name]
        # A class, as Python demands of what it makes instances of.
        return type("Foreign", (Foreign,), {"__slots__": (), "name": f"{module}.{name}"})

    def persistent_load(self, pid: Any) -> Storage | Foreign:
        if isinstance(pid, str):
            pid = self._from_text(pid)
        kind, storage_type, key, _, length, *view = pid
        if kind != "storage" or any(view):
            raise DamagedError(f"it asks for an unknown kind of storage, {kind!r}; {ADVICE}")
        if isinstance(storage_type, type) and issubclass(storage_type, Foreign):
            return self.storages.setdefault(str(key), storage_type())
        if not isinstance(storage_type, StorageType):
            raise DamagedError(f"storage {key} has no type")
        if not isinstance(length, int) or length < 0:
            raise DamagedError(f"storage {key} has an impossible size")
        storage = Storage(np.dtype(storage_type.dtype), str(key), length)
        if self.storages.setdefault(storage.key, storage) != storage:
            raise DamagedError(f"storage {key} has two sizes")
        return storage

    def _from_text(self, text: str) -> tuple:
        match = STORAGE.fullmatch(text)
        if not match:
            raise DamagedError(f"it names a storage as {shorten(text)}; {ADVICE}")
        return "storage", self.find_class("torch", match[1]), match[2], "cpu", int(match[3])


def unpickle(file: File) -> tuple[Any, dict[str, Storage | Foreign]]:
    """Return the next pickled value, and the storages that it names."""
    start = file.tell()
    for number, (step, argument, _) in enumerate(pickletools.genops(file)):
        if step.name not in STEPS:
            raise DamagedError(
                f"it uses the opcode {step.name}, which no dictionary of tensors needs; {ADVICE}"
            )
        # Python would allocate as many values as the number says, which could be all memory.
        if step.name in ("LONG_BINPUT", "PUT") and isinstance(argument, int) and argument > number:
            raise DamagedError("it numbers its values wrongly")
    file.seek(start)
    unpickler = _Unpickler(file)
    return unpickler.load(), unpickler.storages


def describe(value: Any) -> str:
    """Return what kind of value the file holds, for a message."""
    if isinstance(value, Foreign):
        return f"an object of {shorten(value.name)}"
    if isinstance(value, type) and issubclass(value, Foreign):
        return shorten(value.name)
    if isinstance(value, Tensor):
        return "a tensor"
    if isinstance(value, dict):
        return f"a dictionary of {len(value)}"
    return f"a value of type {type(value).__name__}"


def shorten(text: str, length: int = 80) -> str:
    """Return a text of the file for a message, on one line."""
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= length else f"{text[:length]}…"
