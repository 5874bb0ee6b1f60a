import argparse
import datetime
import pickle
import struct
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pth_files import NUMBERS, Fake, dump, tensor, write_weights, write_zip

from jaxcolor.errors import UserError
from jaxcolor.pretrained import pth
from jaxcolor.pretrained.pth import read_pth


def write_legacy(
    path: Path, value: Any, numbers: np.ndarray = NUMBERS, keys: tuple = ("0",), protocol: int = 2
) -> Path:
    head = [pth.MAGIC, pth.VERSION, {"little_endian": True}, value, list(keys)]
    body = struct.pack("<q", len(numbers)) + numbers.tobytes()
    path.write_bytes(b"".join(dump(part, protocol) for part in head) + body)
    return path


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_tensors_are_views_of_their_storage(tmp_path: Path, write: Any) -> None:
    found, duplicates, _ = read_pth(
        write(
            tmp_path / "w.pth",
            {"a": tensor(), "transposed": tensor((3, 2), (1, 3)), "end": tensor((), (), 5)},
        )
    )
    assert not duplicates
    np.testing.assert_array_equal(found["a"], NUMBERS.reshape(2, 3))
    np.testing.assert_array_equal(found["transposed"], NUMBERS.reshape(2, 3).T)
    assert found["end"] == 5
    assert all(array.dtype == np.float32 for array in found.values())


@pytest.mark.parametrize("write", [write_zip, write_legacy])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": Fake("os", "system", "x"), "b": tensor()}, r"has 'a' \(an object of os.system\); save the"),
        ({"a": Fake("torch.nn", "Conv2d"), "b": tensor()}, r"it has 'a' \(torch.nn.Conv2d\); save"),
        (
            {"model": Fake("models", "DeepLabV3", tensor())},
            r"'model' \(an object of models.DeepLabV3\); save",
        ),
        (Fake("models", "DeepLabV3", tensor()), "it holds an object of models.DeepLabV3, not a dictionary"),
        (
            {"net": {"a": tensor(), "n": 3}},
            r"beside tensors it has under 'net' 'n' \(a value of type int\); save",
        ),
        (
            {"ema": {"a": 3}, "epoch": 3},
            r"'ema' \(a dictionary of 1\), 'epoch' \(a value of type int\)|list of storages",
        ),
        ({"net": {"a": tensor()}, "model": {"a": tensor()}}, "several networks, under 'model' and 'net'"),
        (
            {"ema": {"a": tensor()}, "b": {"old": {"a": tensor()}, "new": {"a": tensor()}}},
            r"several networks, under 'ema', 'b/old' and 'b/new'; save one of them alone: "
            r"torch.save\(torch.load\(FILE\)\['ema'\], NEW_FILE\)$",
        ),
        ({"a": tensor((2, 4), (4, 1))}, "reaches beyond its storage"),
        ({"a": tensor(offset=1)}, "reaches beyond its storage"),
        ({"a": tensor((2, -3))}, "impossible shape"),
        ({"a": tensor(strides=(-3, 1))}, "impossible shape"),
        ({"a": tensor((1000, 1000), (0, 0))}, "larger than its storage"),
        ({"a": 3}, "no dictionary of tensors|list of storages"),
        ([tensor()], "holds a value of type list"),
        ({}, "no dictionary of tensors|list of storages"),
    ],
)
def test_anything_but_tensors_is_refused(tmp_path: Path, write: Any, value: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_pth(write(tmp_path / "w.pth", value))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"}p4294967295\n.", "numbers its"),
        # The place of a value among those that are kept: Python's reader would take 32 GB for it.
        (b"\x80\x02}" + pickle.LONG_BINPUT + struct.pack("<I", 2**32 - 1) + pickle.STOP, "numbers its"),
        (b"\x80\x02" + pickle.BYTEARRAY8 + struct.pack("<Q", 2**36) + pickle.STOP, "as weights of PyTorch"),
        (b"\x80\x02" + pickle.EMPTY_SET + pickle.STOP, "uses the opcode EMPTY_SET"),
    ],
)
def test_no_pickle_takes_much_memory(tmp_path: Path, value: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_pth(write_zip(tmp_path / "w.pth", value))


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_weights_beside_other_entries(tmp_path: Path, write: Any) -> None:
    args = Fake("argparse", "Namespace", 1)
    beside = {
        "epoch": 3,
        "args": args,
        "optimizer": {"state": {0: {"step": 1.5, "m": tensor()}}},
        "b": [None],
    }
    for name in ("model", "state_dict", "ema"):
        found = read_pth(write(tmp_path / "w.pth", beside | {name: {"a": tensor()}}))
        assert (list(found.arrays), found.duplicates, found.entry) == (["a"], [], (name,))
        np.testing.assert_array_equal(found.arrays["a"], NUMBERS.reshape(2, 3))


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("zipped", [True, False])
def test_every_protocol_of_pickle(tmp_path: Path, zipped: bool, protocol: int) -> None:
    value = {
        "model": {"a": tensor(), "é": tensor((2,), (3,))},
        "epoch": 3,
        "lr": 0.5,
        "x": [True, None, 2**70],
    }
    path = tmp_path / "w.pth"
    if zipped:
        found = read_pth(write_zip(path, dump(value, protocol)))
    else:
        found = read_pth(write_legacy(path, value, protocol=protocol))
    assert found.entry == ("model",)
    np.testing.assert_array_equal(found.arrays["a"], NUMBERS.reshape(2, 3))
    np.testing.assert_array_equal(found.arrays["é"], [0, 3])


def test_numbers_beside_the_weights_are_not_read(tmp_path: Path) -> None:
    """So a large optimizer takes no memory. Its storage is not even in the file."""
    value = {"model": {"a": tensor()}, "optimizer": {"m": tensor(key="1")}}
    assert list(read_pth(write_zip(tmp_path / "w.pth", value)).arrays) == ["a"]


def test_numbers_of_unknown_size_cannot_be_skipped_in_the_older_format(tmp_path: Path) -> None:
    storage = ("persistent", "storage", Fake("torch", "ComplexFloatStorage"), "0", "cpu", 6)
    value = {"a": Fake("torch._utils", "_rebuild_tensor_v2", storage, 0, (2,), (1,), False, None)}
    with pytest.raises(UserError, match=r"storage 0 is an object of torch.ComplexFloatStorage, which cannot"):
        read_pth(write_legacy(tmp_path / "w.pth", value))
    with pytest.raises(UserError, match=r"but 'a' \(an object of torch.ComplexFloatStorage\)"):
        read_pth(write_zip(tmp_path / "w.pth", value))


def test_what_pytorch_says_of_modules_is_not_kept(tmp_path: Path) -> None:
    pickled = dump(Fake("collections", "OrderedDict", []))[:-1]
    item = b"(X\x01\x00\x00\x00a" + dump(tensor())[2:-1] + pickle.SETITEMS
    state = dump({"duplicates": 5})[2:-1] + pickle.BUILD
    found, duplicates, _ = read_pth(write_zip(tmp_path / "w.pth", pickled + item + state + pickle.STOP))
    assert list(found) == ["a"]
    assert duplicates == []


def test_a_key_that_is_set_twice_is_noticed(tmp_path: Path) -> None:
    pickled = dump(Fake("collections", "OrderedDict", []))[:-1]
    one = dump(tensor())[2:-1]
    twice = pickled + b"(" + (b"X\x01\x00\x00\x00a" + one) * 2 + pickle.SETITEMS + pickle.STOP
    found, duplicates, _ = read_pth(write_zip(tmp_path / "w.pth", twice))
    assert list(found) == ["a"]
    assert duplicates == ["a"]


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path, write: Any) -> None:
    whole = write(tmp_path / "w.pth", {"a": tensor()}).read_bytes()
    for length in range(0, len(whole), 7):
        (tmp_path / "cut.pth").write_bytes(whole[:length])
        with pytest.raises(UserError, match="cannot read .*cut.pth as weights of PyTorch"):
            read_pth(tmp_path / "cut.pth")


def test_a_damaged_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    with pytest.raises(UserError, match="storage 0 is missing"):
        read_pth(write_zip(path, {"a": tensor()}, {"archive/data/1": b""}))
    with pytest.raises(UserError, match="storage 0 has 20 bytes, not 24"):
        read_pth(write_zip(path, {"a": tensor()}, data=NUMBERS.tobytes()[4:]))
    with pytest.raises(UserError, match="big-endian"):
        read_pth(write_zip(path, {"a": tensor()}, {"archive/byteorder": b"big"}))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", dump({"a": tensor()}))
    with pytest.raises(UserError, match="is compressed"):
        read_pth(path)
    with pytest.raises(UserError, match="without data.pkl, so not one of PyTorch; unpack it"):
        read_pth(write_zip(tmp_path / "w.pth", {}).rename(path) and _only(path, "other"))
    with pytest.raises(UserError, match="it is a TorchScript archive, .*torch.jit.load"):
        read_pth(_only(path, "archive/code/__torch__.py"))
    whole = bytearray(write_zip(path, {"a": tensor()}).read_bytes())
    whole[whole.index(NUMBERS.tobytes()) + 5] ^= 1
    path.write_bytes(whole)
    with pytest.raises(UserError, match="CRC"):
        read_pth(path)


def _only(path: Path, name: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, b"")
    return path


def test_a_damaged_file_of_the_older_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    with pytest.raises(UserError, match="storage 0 has 5 numbers, not 6"):
        read_pth(write_legacy(path, {"a": tensor()}, NUMBERS[1:]))
    with pytest.raises(UserError, match="list of storages"):
        read_pth(write_legacy(path, {"a": tensor()}, keys=("1",)))
    whole = write_legacy(path, {"a": tensor()}).read_bytes()
    path.write_bytes(whole + b"x")
    with pytest.raises(UserError, match="bytes after its end"):
        read_pth(path)
    for content in (b"no weights at all", pickle.dumps({"a": NUMBERS})):
        path.write_bytes(content)
        with pytest.raises(UserError, match="as weights of PyTorch: it is not a file that torch.save wrote"):
            read_pth(path)
    with pytest.raises(UserError, match="No such file"):
        read_pth(tmp_path / "missing.pth")


@pytest.mark.parametrize("zipped", [True, False])
def test_what_pytorch_writes_is_read_bit_by_bit(tmp_path: Path, zipped: bool) -> None:
    torch = pytest.importorskip("torch")
    base = torch.randn(4, 5)
    weights = OrderedDict(
        a=base, transposed=base.T, part=base[1:, 2:], parameter=torch.nn.Parameter(torch.ones(2)),
        half=base.half(), brain=base.bfloat16(), count=torch.tensor(7), empty=torch.zeros(0, 3),
        flags=torch.tensor([True, False]),
    )  # fmt: skip
    torch.save(weights, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    found, duplicates, _ = read_pth(tmp_path / "w.pth")
    assert not duplicates
    assert list(found) == list(weights)
    for key, value in weights.items():
        expected = value.detach()
        expected = expected.float().numpy() if key == "brain" else expected.numpy()
        np.testing.assert_array_equal(found[key].astype(expected.dtype), expected)
        assert found[key].dtype == (found[key].dtype if key == "brain" else expected.dtype)


def test_many_tensors_are_read_by_their_keys(tmp_path: Path) -> None:
    weights = {"a": NUMBERS.reshape(2, 3), "b.c": NUMBERS[:4].reshape(1, 2, 2)}
    found, duplicates, _ = read_pth(write_weights(tmp_path / "w.pth", weights))
    assert list(found) == ["a", "b.c"]
    assert duplicates == []
    for key, array in weights.items():
        np.testing.assert_array_equal(found[key], array)


@pytest.mark.parametrize("zipped", [True, False])
def test_the_checkpoints_of_training_programs(tmp_path: Path, zipped: bool) -> None:
    """As torchvision's reference scripts and Lightning write them."""
    torch = pytest.importorskip("torch")
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 1), torch.nn.BatchNorm2d(3))
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(2, 2, 1, 1)).sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, 10)
    args = argparse.Namespace(
        lr=0.1, path=Path("x"), tags={"a", "b"}, raw=b"\0", when=datetime.timedelta(1), dtype=torch.float32,
        device=torch.device("cpu"), array=np.arange(3), number=np.float64(2), big=2**80, mean=1j,
        groups=defaultdict(list, a=[1]), size=torch.Size([2]),
    )  # fmt: skip
    checkpoint = {
        "epoch": 3, "model": network.state_dict(), "optimizer": optimizer.state_dict(),
        "lr_scheduler": schedule.state_dict(), "args": args, "scaler": {}, "best": torch.tensor(0.5),
    }  # fmt: skip
    torch.save(checkpoint, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    found, duplicates, entry = read_pth(tmp_path / "w.pth")
    assert (entry, duplicates) == (("model",), [])
    assert list(found) == list(network.state_dict())
    for key, value in network.state_dict().items():
        np.testing.assert_array_equal(found[key], value.numpy())


def test_a_whole_pytorch_network_is_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    for value in (torch.nn.Conv2d(2, 3, 1), {"model": torch.nn.Conv2d(2, 3, 1)}):
        torch.save(value, tmp_path / "w.pth")
        with pytest.raises(UserError, match="an object of torch.nn.modules.conv.Conv2d") as error:
            read_pth(tmp_path / "w.pth")
        assert str(error.value).endswith("; save the weights alone: torch.save(model.state_dict(), FILE)")
