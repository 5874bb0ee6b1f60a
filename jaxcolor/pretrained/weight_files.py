"""Files of weights, whose content says what they are. Their names may end in anything."""

from pathlib import Path

from jaxcolor.errors import UserError, reason
from jaxcolor.pretrained.pth import START, is_pth, read_pth
from jaxcolor.pretrained.safetensors import read_safetensors
from jaxcolor.pretrained.state_dict import StateDict

# The first bytes of files that people take for weights, what such a file is, and what to do.
PAGE = "is a web page: download the file that the page links to"
OTHERS = {
    b"<!doctype": PAGE,
    b"<html": PAGE,
    b"version https://git-lfs": "is a pointer of Git LFS, not the weights: run `git lfs pull`",
    b"\x1f\x8b": "is compressed with gzip: unpack it with gunzip, or with tar if it is an archive",
    b"\x89hdf": "is an HDF5 file, such as Keras writes: give a .pth or .safetensors file of PyTorch",
}


def read_weights(path: Path) -> StateDict:
    """Return the tensors of a .safetensors or a .pth file. Its content says which of them it is.

    Raises `UserError` if the file is neither, or damaged.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder: give the file of weights in it")
    try:
        with open(path, "rb") as file:
            start = file.read(START)
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error
    if not start:
        raise UserError(f"{path} is empty: download or save it again")
    for known, what in OTHERS.items():
        if start.lstrip().lower().startswith(known):
            raise UserError(f"{path} {what}")
    # A safetensors file begins with the length of its header in 8 bytes. The header is JSON.
    is_safetensors = start[4:9] == b"\0\0\0\0{"
    if is_safetensors or (path.suffix.lower() == ".safetensors" and not is_pth(start)):
        return read_safetensors(path)
    return read_pth(path)
