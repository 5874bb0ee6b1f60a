"""Files as `torch.save` writes them, without PyTorch."""

import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

NUMBERS = np.arange(6, dtype=np.float32)


class Fake:
    """A value that is pickled as a call of a function of a module, which need not be installed."""

    def __init__(self, module: str, name: str, *arguments: Any):
        self.module, self.name, self.arguments = module, name, arguments

    def __repr__(self) -> str:
        return f"<class '{self.module}.{self.name}'>"


InPython: Any = vars(pickle)["_Pickler"]


class Pickler(InPython):  # the one written in Python, whose steps can be changed
    """Pickle as PyTorch does: calls of its functions, and storages as persistent ids."""

    def persistent_id(self, value: Any) -> Any:
        return value[1:] if isinstance(value, tuple) and value[:1] == ("persistent",) else None

    def save(self, value: Any, save_persistent_id: bool = True) -> None:
        if isinstance(value, Fake):
            self.write(f"c{value.module}\n{value.name}\n".encode())
            if value.arguments:
                super().save(value.arguments)
                self.write(pickle.REDUCE)
            return
        super().save(value, save_persistent_id)


def dump(value: Any, protocol: int = 2) -> bytes:
    file = io.BytesIO()
    Pickler(file, protocol).dump(value)
    return file.getvalue()


def tensor(
    shape: tuple = (2, 3), strides: tuple = (3, 1), offset: int = 0, key: str = "0", length: int = 6
) -> Fake:
    storage = ("persistent", "storage", Fake("torch", "FloatStorage"), key, "cpu", length)
    return Fake(
        "torch._utils",
        "_rebuild_tensor_v2",
        storage,
        offset,
        shape,
        strides,
        False,
        Fake("collections", "OrderedDict", []),
    )


def write_zip(
    path: Path, value: Any, files: dict[str, bytes] | None = None, data: bytes = NUMBERS.tobytes()
) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", value if isinstance(value, bytes) else dump(value))
        for name, content in (files or {"archive/data/0": data}).items():
            archive.writestr(name, content)
    return path


def write_weights(
    path: Path, weights: Mapping[str, np.ndarray], entry: str | None = None, beside: Any = None
) -> Path:
    """Write float32 arrays as a state_dict, or under an entry of a dictionary that holds `beside`, too."""
    tensors, files = {}, {}
    for number, (key, array) in enumerate(weights.items()):
        data = np.ascontiguousarray(array, np.float32)
        strides = tuple(step // 4 for step in data.strides)
        tensors[key] = tensor(data.shape, strides, 0, str(number), data.size)
        files[f"archive/data/{number}"] = data.tobytes()
    return write_zip(path, {entry: tensors, **(beside or {})} if entry else tensors, files)
