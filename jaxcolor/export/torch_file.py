"""The weights of a network as a .pth file for PyTorch, written without PyTorch."""

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax.traverse_util import unflatten_dict

from jaxcolor.errors import UserError
from jaxcolor.pretrained import keys
from jaxcolor.pretrained.assignment import POOLED, STRIDED
from jaxcolor.pretrained.keys import COUNTER, KeyPath, Table
from jaxcolor.pretrained.networks import tables

# The networks of experiments/reference/colorization.py: their names there, and their keys.
REFERENCE: dict[str, tuple[str, Table]] = {
    "cnn": ("CNN", POOLED),
    "unet": ("UNet", POOLED),
    "dunet": ("UNet", POOLED),
    "strided-unet": ("StridedUNet", STRIDED),
    "conv-transpose": ("ConvTransposeNet", STRIDED),
}
# The networks of torchvision: head and backbone, and the output stride that they have there.
TORCHVISION = {
    ("deeplabv3", "resnet50"): 8,
    ("deeplabv3", "resnet101"): 8,
    ("deeplabv3", "mobilenet-v3-large"): 16,
    ("fcn", "resnet50"): 8,
    ("fcn", "resnet101"): 8,
    ("lraspp", "mobilenet-v3-large"): 16,
}
STORAGES = {np.dtype(np.float32): b"FloatStorage", np.dtype(np.int64): b"LongStorage"}


def torch_file(
    settings: Mapping[str, Any], variables: Mapping[KeyPath, np.ndarray]
) -> tuple[bytes, dict[str, Any]]:
    """Return a .pth file with the weights, and how to build the network in PyTorch.

    `settings` are those of the run. Raises `UserError` if PyTorch has no such network.
    """
    table, network = _torchvision(settings) if "backbone" in settings else _reference(settings)
    if settings.get("aux") is False:
        table = {key: place for key, place in table.items() if place.path[1] != "aux_head"}
    shapes = {
        key: tuple(np.shape(variables[path])[axis] for axis in np.argsort(axes))
        if axes
        else np.shape(variables[path])
        for key, (path, axes) in table.items()
    }
    weights = keys.to_torch(unflatten_dict(dict(variables)), table, shapes)
    norms = [key.removesuffix(".running_mean") for key in weights if key.endswith(".running_mean")]
    counters = {f"{norm}{COUNTER}": np.zeros((), np.int64) for norm in norms}
    return write_pth(weights | counters), network


def _reference(settings: Mapping[str, Any]) -> tuple[Table, dict[str, Any]]:
    name = settings["model"]
    if name not in REFERENCE:
        raise UserError(
            f"there is no {name} in PyTorch: --to pth is for {', '.join(REFERENCE)} and torchvision's "
            "segmentation networks; --to safetensors writes the weights of every network"
        )
    network, table = REFERENCE[name]
    arguments = {field: settings[field] for field in ("filters", "colors", "kernel_size")}
    arguments["in_channels"] = 3 if settings["downsize_input"] else 1
    if network == "UNet":
        arguments["dilation"] = settings["dilation"] or (2 if name == "dunet" else 1)
    return table, {
        "module": "experiments/reference/colorization.py",
        "class": network,
        "arguments": arguments,
    }


def _torchvision(settings: Mapping[str, Any]) -> tuple[Table, dict[str, Any]]:
    head, backbone, stride = (settings[name] for name in ("head", "backbone", "output_stride"))
    name = f"{head} on {backbone}"
    if (head, backbone) not in TORCHVISION:
        known = ", ".join(" on ".join(pair) for pair in TORCHVISION)
        raise UserError(
            f"torchvision has no {name}: --to pth is for {known}; --to safetensors writes the weights of "
            "every network"
        )
    if stride != TORCHVISION[head, backbone]:
        raise UserError(
            f"torchvision's {name} has the output stride {TORCHVISION[head, backbone]}, not {stride}: "
            "its results would differ; choose another format"
        )
    table = {key: place for part in tables(backbone, head).values() for key, place in part.items()}
    function = f"{head}_{backbone.replace('-', '_')}"
    return table, {
        "module": "torchvision.models.segmentation",
        "function": function,
        "aux_loss": settings["aux"],
    }


def write_pth(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return what `torch.save` writes for a dictionary of tensors, float32 or int64."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", _pickled(arrays))
        archive.writestr("archive/byteorder", "little")
        for number, array in enumerate(arrays.values()):
            archive.writestr(f"archive/data/{number}", array.astype(array.dtype.newbyteorder("<")).tobytes())
        archive.writestr("archive/version", "3\n")
    return file.getvalue()


def _pickled(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return the pickle that describes the tensors. Its calls name functions of PyTorch, not its objects."""
    items = [
        _text(key) + _tensor(np.shape(array), STORAGES[array.dtype], number)
        for number, (key, array) in enumerate(arrays.items())
    ]
    return b"".join(
        [pickle.PROTO, b"\x02", pickle.EMPTY_DICT, pickle.MARK, *items, pickle.SETITEMS, pickle.STOP]
    )


def _tensor(shape: tuple[int, ...], storage: bytes, number: int) -> bytes:
    """Return the call that builds a tensor on a storage, a file of the archive."""
    strides = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
    size = int(np.prod(shape))
    place = _tuple(
        _text("storage"), _name(b"torch", storage), _text(str(number)), _text("cpu"), _integer(size)
    )
    hooks = _name(b"collections", b"OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE
    arguments = _tuple(
        place + pickle.BINPERSID, _integer(0), _tuple(*map(_integer, shape)), _tuple(*map(_integer, strides)),
        pickle.NEWFALSE, hooks,
    )  # fmt: skip
    return _name(b"torch._utils", b"_rebuild_tensor_v2") + arguments + pickle.REDUCE


def _name(module: bytes, name: bytes) -> bytes:
    return pickle.GLOBAL + module + b"\n" + name + b"\n"


def _tuple(*items: bytes) -> bytes:
    return pickle.MARK + b"".join(items) + pickle.TUPLE


def _integer(number: int) -> bytes:
    return pickle.BININT + struct.pack("<i", number)


def _text(text: str) -> bytes:
    data = text.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(data)) + data
