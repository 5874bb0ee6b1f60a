import gzip
from pathlib import Path

import numpy as np
import pytest
from pth_files import write_weights
from safetensors.numpy import save_file

from jaxcolor.errors import UserError
from jaxcolor.pretrained.weight_files import read_weights

WEIGHTS = {"a": np.array([0.5, -2, 3], np.float32)}


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.ckpt", "w.bin", "w.safetensors", "W.SafeTensors", "w"])
def test_the_content_says_what_a_file_is(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    for write in (write_weights, lambda path, weights: save_file(weights, path)):
        write(path, WEIGHTS)
        found = read_weights(path)
        assert list(found.arrays) == ["a"]
        np.testing.assert_array_equal(found.arrays["a"], WEIGHTS["a"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"w.pth is empty: download or save it again"),
        (b"\n<!DOCTYPE html><html>Not found", "w.pth is a web page: download the file"),
        (b"<html lang=en>", "w.pth is a web page: download the file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "w.pth is a pointer of Git LFS"),
        (gzip.compress(b"weights", mtime=0), "w.pth is compressed with gzip: unpack it"),
        (b"\x89HDF\r\n\x1a\n\0\0", "w.pth is an HDF5 file, such as Keras writes: give a .pth"),
        (b"others", "as weights of PyTorch: it is not a file that torch.save wrote; save the weights alone"),
    ],
)
def test_what_people_take_for_weights_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        read_weights(tmp_path / "w.pth")
    assert "\n" not in str(error.value)


def test_a_name_decides_about_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"others")
    with pytest.raises(UserError, match="w.safetensors as safetensors: "):
        read_weights(tmp_path / "w.safetensors")


def test_a_folder_and_a_missing_file_are_no_weights(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder: give the file of weights in it"):
        read_weights(tmp_path)
    with pytest.raises(UserError, match="cannot read .*w.pth: No such file"):
        read_weights(tmp_path / "w.pth")
