import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxcolor.errors import UserError
from jaxcolor.pretrained.safetensors import read_safetensors

NUMBERS = np.array([[0.5, -2, 3], [4, 5, 6]])


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16, np.int64])
def test_numbers_of_every_format(dtype: type, tmp_path: Path) -> None:
    expected: np.ndarray = NUMBERS.astype(dtype)
    save_file(
        {"a": expected, "scalar": np.array(expected[0, 2])}, tmp_path / "w.safetensors", {"format": "pt"}
    )
    found = read_safetensors(tmp_path / "w.safetensors")
    assert (sorted(found.arrays), found.duplicates, found.entry) == (["a", "scalar"], [], ())
    assert found.arrays["a"].dtype == dtype
    np.testing.assert_array_equal(found.arrays["a"], expected)
    assert found.arrays["scalar"].shape == ()
    assert found.arrays["scalar"] == expected[0, 2]


def test_what_pytorch_writes_is_read_bit_by_bit(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    save = pytest.importorskip("safetensors.torch").save_file
    base = torch.randn(3, 4)
    weights = {"full": base, "half": base.half(), "brain": base.bfloat16(), "count": torch.tensor(7)}
    save(weights, tmp_path / "w.safetensors")
    found = read_safetensors(tmp_path / "w.safetensors").arrays
    assert found.keys() == weights.keys()
    assert [found[key].dtype for key in ("full", "half", "brain")] == ["f4", "f2", ml_dtypes.bfloat16]
    for key, value in weights.items():
        np.testing.assert_array_equal(found[key].astype(np.float64), value.double().numpy())


def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"a": NUMBERS}, path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"cannot read .*w.safetensors as safetensors: Error") as error:
            read_safetensors(path)
        assert "\n" not in str(error.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(UserError, match=r"cannot read .*w.safetensors: No such file or directory"):
        read_safetensors(path)
    with pytest.raises(UserError, match="Is a directory"):
        read_safetensors(tmp_path)
    path.write_bytes(b"PK\x03\x04 no weights at all")
    with pytest.raises(UserError, match=r"as safetensors: .*save or download it again"):
        read_safetensors(path)
    save_file({}, path)
    with pytest.raises(UserError, match="holds no tensors"):
        read_safetensors(path)
    header = json.dumps({"a": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0")
    with pytest.raises(UserError, match="'a' has the number format F8_E4M3; save the weights as float32"):
        read_safetensors(path)
