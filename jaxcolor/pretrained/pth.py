"""PyTorch's .pth files, read without PyTorch and without running code from them.

A file is a pickle that describes tensors, and their numbers: after the pickle, one run of bytes per storage
(the format until PyTorch 1.5), or beside it in a zip archive (the format since). A pickle may call any
function of any module. Here only the few calls that make up a dictionary of tensors are allowed.
"""

import io
import math
import pickle
import pickletools
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from jaxcolor.errors import UserError, reason

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001
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
}  # fmt: skip
# The exceptions that Python raises for a damaged pickle or archive.
READ_ERRORS = (
    pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, AttributeError, TypeError,
    OverflowError, MemoryError, RuntimeError, struct.error, zipfile.BadZipFile,
)  # fmt: skip


File = io.BytesIO | io.BufferedReader


class DamagedError(Exception):
    """The file is damaged, or not a file of weights."""


class StorageType(NamedTuple):
    """A storage class of PyTorch, such as torch.FloatStorage."""

    dtype: type


@dataclass(frozen=True, slots=True)
class Storage:
    """An array of numbers that several tensors may share."""

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


class StateDict(OrderedDict):
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


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    if not isinstance(storage, Storage):
        raise DamagedError("a tensor has no storage")
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(tensor: Any, *_: Any) -> Any:
    return tensor


ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): StateDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    **{("torch", name): StorageType(dtype) for name, dtype in DTYPES.items()},
}


class _Unpickler(pickle.Unpickler):
    """An unpickler for tensors, numbers, strings and containers only."""

    def __init__(self, file: File):
        super().__init__(file, encoding="utf-8")
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise DamagedError(
                f"it asks for {module}.{name}; only dictionaries of tensors are read, as "
                "torch.save(model.state_dict(), FILE) writes them"
            ) from None

    def persistent_load(self, pid: Any) -> Storage:
        kind, storage_type, key, _, length, *view = pid
        if kind != "storage" or not isinstance(storage_type, StorageType) or any(view):
            raise DamagedError(f"it asks for an unknown kind of storage, {kind!r}")
        if not isinstance(length, int) or length < 0:
            raise DamagedError(f"storage {key} has an impossible size")
        storage = Storage(np.dtype(storage_type.dtype), str(key), length)
        if self.storages.setdefault(storage.key, storage) != storage:
            raise DamagedError(f"storage {key} has two sizes")
        return storage


def read_pth(path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the tensors of a .pth file by their keys, and the keys that occur more than once.

    Raises `UserError` if the file is damaged or truncated, or holds anything but a dictionary of tensors.
    """
    try:
        with open(path, "rb") as file:
            is_zip = file.read(4) == b"PK\x03\x04"
            file.seek(0)
            found, numbers = _read_zip(file) if is_zip else _read_legacy(file)
            if not isinstance(found, dict):
                raise DamagedError(f"it holds a {type(found).__name__}, not a dictionary of tensors")
            strange = [key for key, value in found.items() if not isinstance(value, Tensor)]
            if strange or not found:
                raise DamagedError(f"it is no dictionary of tensors (but has {strange[:3] or 'nothing'})")
            weights = {str(key): tensor.of(numbers(tensor.storage)) for key, tensor in found.items()}
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error
    except (DamagedError, *READ_ERRORS) as error:
        raise UserError(f"cannot read {path} as weights of PyTorch: {reason(error)}") from error
    return weights, getattr(found, "duplicates", [])


def _unpickle(file: File) -> tuple[Any, dict[str, Storage]]:
    """Return the next pickled value, and the storages that it names."""
    start = file.tell()
    for number, (step, argument, _) in enumerate(pickletools.genops(file)):
        if step.name not in STEPS:
            raise DamagedError(f"it uses the opcode {step.name}, which no dictionary of tensors needs")
        # Python would allocate as many values as the number says, which could be all memory.
        if step.name == "LONG_BINPUT" and isinstance(argument, int) and argument > number:
            raise DamagedError("it numbers its values wrongly")
    file.seek(start)
    unpickler = _Unpickler(file)
    return unpickler.load(), unpickler.storages


Numbers = Callable[[Storage], np.ndarray]


def _read_zip(file: File) -> tuple[Any, Numbers]:
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise DamagedError("it is a truncated zip archive") from error
    names = archive.namelist()
    if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
        raise DamagedError("its zip archive is compressed, as PyTorch's never are")
    if len(set(names)) < len(names):
        raise DamagedError("its zip archive holds two files of one name")
    pickles = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise DamagedError("it is a zip archive without data.pkl")
    root = pickles[0].removesuffix("data.pkl")
    if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
        raise DamagedError("its numbers are big-endian")
    found, _ = _unpickle(io.BytesIO(archive.read(pickles[0])))
    read: dict[str, np.ndarray] = {}

    def numbers(storage: Storage) -> np.ndarray:
        if storage.key not in read:
            name = f"{root}data/{storage.key}"
            if name not in names:
                raise DamagedError(f"storage {storage.key} is missing")
            if (size := archive.getinfo(name).file_size) != storage.bytes:
                raise DamagedError(f"storage {storage.key} has {size} bytes, not {storage.bytes}")
            read[storage.key] = np.frombuffer(archive.read(name), storage.dtype)
        return read[storage.key]

    return found, numbers


def _read_legacy(file: File) -> tuple[Any, Numbers]:
    if _unpickle(file)[0] != MAGIC or _unpickle(file)[0] != VERSION:
        raise DamagedError("it is neither a zip archive nor of PyTorch's older format")
    if not _unpickle(file)[0].get("little_endian"):
        raise DamagedError("its numbers are big-endian")
    found, storages = _unpickle(file)
    keys, _ = _unpickle(file)
    if sorted(map(str, keys)) != sorted(storages):
        raise DamagedError("its list of storages is not that of its tensors")
    read = {}
    for key in map(str, keys):
        storage = storages[key]
        (length,) = struct.unpack("<q", file.read(8))
        if length != storage.length:
            raise DamagedError(f"storage {key} has {length} numbers, not {storage.length}")
        data = file.read(storage.bytes)
        if len(data) != storage.bytes:
            raise DamagedError(f"it ends within storage {key}: it is truncated")
        read[key] = np.frombuffer(data, storage.dtype)
    if file.read(1):
        raise DamagedError("it has bytes after its end")
    return found, lambda storage: read[storage.key]
