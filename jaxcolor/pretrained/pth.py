"""PyTorch's .pth files, read without PyTorch and without running code from them.

A file is a pickle that describes tensors, and their numbers: after the pickle, one run of bytes per storage
(the format until PyTorch 1.5), or beside it in a zip archive (the format since).
`unpickling` reads the pickle.
"""

import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jaxcolor.errors import UserError, reason
from jaxcolor.pretrained.state_dict import StateDict, find_state_dicts
from jaxcolor.pretrained.unpickling import (
    ADVICE,
    DamagedError,
    File,
    Foreign,
    Storage,
    Tensor,
    describe,
    shorten,
    unpickle,
)  # fmt: skip

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001
ZIP = b"PK\x03\x04"
START = 64  # bytes
# The exceptions that Python raises for a damaged pickle or archive.
READ_ERRORS = (
    pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, AttributeError, TypeError,
    OverflowError, MemoryError, RuntimeError, struct.error, zipfile.BadZipFile,
)  # fmt: skip


def is_pth(start: bytes) -> bool:
    """Return whether a file that begins so is a .pth file: a zip archive, or one with the magic number."""
    is_old = MAGIC.to_bytes(10, "little") in start or str(MAGIC).encode() in start
    return is_old or start.startswith(ZIP)


def read_pth(path: Path) -> StateDict:
    """Return the tensors of a .pth file.

    They are in the dictionary that the file holds, or under an entry of it (see `find_state_dicts`).
    Raises `UserError` if the file is damaged or truncated, or if there is not exactly one dictionary of
    tensors and of nothing else.
    """
    try:
        with open(path, "rb") as file:
            is_zip = file.read(len(ZIP)) == ZIP
            file.seek(0)
            content, numbers = _read_zip(file) if is_zip else _read_legacy(file)
            entry, found = _find(content)
            weights = {str(key): tensor.of(numbers(tensor.storage)) for key, tensor in found.items()}
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error
    except (DamagedError, *READ_ERRORS) as error:
        raise UserError(f"cannot read {path} as weights of PyTorch: {reason(error)}") from error
    return StateDict(weights, getattr(found, "duplicates", []), entry)


def _find(content: Any) -> tuple[tuple[str, ...], dict[Any, Tensor]]:
    """Return the only dictionary of tensors, and the entries that lead to it."""
    if not isinstance(content, dict):
        raise DamagedError(f"it holds {describe(content)}, not a dictionary of tensors; {ADVICE}")
    candidates = find_state_dicts(content, Tensor)
    if not candidates:
        raise DamagedError(f"it holds no dictionary of tensors, but {_list(content)}; {ADVICE}")
    if len(candidates) > 1:
        *first, last = [shorten(repr("/".join(entry))) for entry, _ in candidates[:4]]
        one = "".join(f"[{name!r}]" for name in candidates[0][0])
        raise DamagedError(
            f"it holds several networks, under {', '.join(first)} and {last}; save one of them alone: "
            f"{shorten(f'torch.save(torch.load(FILE){one}, NEW_FILE)')}"
        )
    ((entry, found),) = candidates
    if strange := {key: value for key, value in found.items() if not isinstance(value, Tensor)}:
        where = f" under {'/'.join(entry)!r}" if entry else ""
        raise DamagedError(f"beside tensors it has{where} {_list(strange)}; {ADVICE}")
    return entry, found


def _list(content: dict, shown: int = 5) -> str:
    """Describe the first entries of a dictionary."""
    entries = [f"{shorten(repr(key))} ({describe(value)})" for key, value in content.items()]
    more = [f"{len(entries) - shown} more"] if len(entries) > shown else []
    return ", ".join([*entries[:shown], *more]) or "no entries"


Numbers = Callable[[Storage], np.ndarray]


def _read_zip(file: File) -> tuple[Any, Numbers]:
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise DamagedError("it is a truncated zip archive") from error
    names = archive.namelist()
    if any("/code/" in name for name in names):
        raise DamagedError(
            "it is a TorchScript archive, which holds a program: save its weights alone: "
            "torch.save(torch.jit.load(FILE).state_dict(), NEW_FILE)"
        )
    pickles = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise DamagedError(
            "it is a zip archive without data.pkl, so not one of PyTorch; unpack it if the weights are in it"
        )
    if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
        raise DamagedError("its zip archive is compressed, as PyTorch's never are")
    if len(set(names)) < len(names):
        raise DamagedError("its zip archive holds two files of one name")
    root = pickles[0].removesuffix("data.pkl")
    if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
        raise DamagedError("its numbers are big-endian")
    found, _ = unpickle(io.BytesIO(archive.read(pickles[0])))
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
    start = file.read(START)
    file.seek(0)
    if not is_pth(start):
        raise DamagedError(f"it is not a file that torch.save wrote; {ADVICE}")
    if unpickle(file)[0] != MAGIC or unpickle(file)[0] != VERSION:
        raise DamagedError("it is of another version of PyTorch's older format")
    if not unpickle(file)[0].get("little_endian"):
        raise DamagedError("its numbers are big-endian")
    found, storages = unpickle(file)
    keys, _ = unpickle(file)
    if sorted(map(str, keys)) != sorted(storages):
        raise DamagedError("its list of storages is not that of its tensors")
    read = {}
    for key in map(str, keys):
        storage = storages[key]
        if isinstance(storage, Foreign):  # nothing says how many bytes it has
            raise DamagedError(f"storage {key} is {describe(storage)}, which cannot be skipped; {ADVICE}")
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
