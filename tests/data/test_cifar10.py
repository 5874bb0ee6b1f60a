import os
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from archives import archive_files, write_tar

from jaxcolor.data import cifar10
from jaxcolor.data.cifar10 import OFFICIAL_MD5, Cifar10Binary, load_cifar10, read_archive
from jaxcolor.data.download import file_hash
from jaxcolor.data.prepare import find_builder, prepare
from jaxcolor.errors import UserError


def test_decodes_a_literal_record(tmp_path: Path) -> None:
    record = np.zeros(3073, np.uint8)
    record[0] = 7
    record[1 + 1] = 11  # red of row 0, column 1
    record[1 + 1024 + 32] = 22  # green of row 1, column 0
    record[1 + 2048 + 1023] = 33  # blue of the last pixel
    files = archive_files(5, 3) | {"cifar-10-batches-bin/test_batch.bin": record.tobytes()}
    archive = write_tar(tmp_path / "a.tar.gz", files)
    _, test, md5 = load_cifar10("horse", archive, tmp_path)
    expected = np.zeros((1, 32, 32, 3), np.uint8)
    expected[0, 0, 1, 0], expected[0, 1, 0, 1], expected[0, 31, 31, 2] = 11, 22, 33
    np.testing.assert_array_equal(test, expected)
    assert md5 == file_hash(archive)


def test_categories_and_order(archive: Path, data_dir: Path) -> None:
    horses, _, _ = load_cifar10("horse", archive, data_dir)
    cats, test_cats, _ = load_cifar10("cat", archive, data_dir)
    everything, test, _ = load_cifar10("all", archive, data_dir)
    assert (len(horses), len(cats), len(test_cats)) == (40, 14, 4)
    assert (len(everything), len(test)) == (54, 16)
    raw = read_archive(archive)["train"]
    np.testing.assert_array_equal(everything, raw[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(horses, everything[raw[:, 0] == 7])


def test_a_category_that_is_not_there(archive: Path, data_dir: Path) -> None:
    with pytest.raises(UserError, match="no train images of the category frog"):
        load_cifar10("frog", archive, data_dir)


def test_warns_of_another_archive_with_both_checksums(
    archive: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load_cifar10("horse", archive, data_dir)
    warning = capsys.readouterr().err
    assert file_hash(archive) in warning
    assert cifar10.OFFICIAL_MD5 in warning
    assert "54 of 50,000 train and 16 of 10,000 test" in warning


def test_two_archives_are_never_mixed(archive: Path, tmp_path: Path) -> None:
    other = write_tar(tmp_path / "other.tar.gz", archive_files(7, 2))
    assert len(load_cifar10("horse", archive, tmp_path)[0]) == 40
    assert len(load_cifar10("horse", other, tmp_path)[0]) == 7
    assert len(load_cifar10("horse", archive, tmp_path)[0]) == 40


def test_needs_no_tensorflow(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text("raise SystemError('TensorFlow was imported')")
    program = "import sys; from pathlib import Path; from jaxcolor.data.cifar10 import load_cifar10\n"
    program += f"load_cifar10('horse', Path({str(archive)!r}), Path({str(tmp_path / 'data')!r}))"
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], env=env, check=True, capture_output=True)


def test_an_archive_made_with_a_leading_dot(tmp_path: Path) -> None:
    files = {f"./{name}": data for name, data in archive_files(5, 3).items()}
    assert len(read_archive(write_tar(tmp_path / "a.tar.gz", files))["train"]) == 7


def test_a_full_disk(archive: Path, tmp_path: Path) -> None:
    program = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
    program += "from pathlib import Path; from jaxcolor.data.cifar10 import load_cifar10\n"
    program += "from jaxcolor.errors import UserError\n"
    program += f"try: load_cifar10('horse', Path({str(archive)!r}), Path({str(tmp_path)!r}))\n"
    program += "except UserError as error: print(error)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "cannot write prepared data" in done.stdout
    assert len(load_cifar10("horse", archive, tmp_path)[0]) == 40


def broken(name: str, archive: Path, tmp_path: Path) -> Path:
    path = tmp_path / f"{name}.tar.gz"
    data = archive.read_bytes()
    files = archive_files(5, 3)
    if name == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif name == "empty":
        path.touch()
    elif name == "text":
        path.write_text("<html>404 not found</html>")
    elif name == "foreign":
        write_tar(path, {"photos/cat.jpg": b"x" * 1000})
    elif name == "cut record":
        write_tar(path, files | {"cifar-10-batches-bin/test_batch.bin": b"\x07" * 4000})
    elif name == "bad label":
        write_tar(path, files | {"cifar-10-batches-bin/test_batch.bin": b"\x0a" * 3073})
    elif name == "no train records":
        write_tar(path, files | {"cifar-10-batches-bin/data_batch_3.bin": b""})
    elif name == "zip":
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("a", "a")
    elif name == "no records":
        write_tar(path, files | {"cifar-10-batches-bin/test_batch.bin": b""})
    elif name == "cut tar":
        with tarfile.open(archive) as tar:
            tar.extractall(tmp_path, filter="data")
        plain = tmp_path / "plain.tar"
        with tarfile.open(plain, "w") as tar:
            tar.add(tmp_path / "cifar-10-batches-bin", "cifar-10-batches-bin")
        path.write_bytes(plain.read_bytes()[:100_000])
    return path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("truncated", "truncated or not a tar archive"),
        ("empty", "truncated or not a tar archive"),
        ("text", "truncated or not a tar archive"),
        ("cut tar", "truncated or not a tar archive"),
        ("foreign", "is not a CIFAR-10 archive in binary layout: it has no data_batch_1.bin"),
        ("cut record", "test_batch.bin does not consist of 3073-byte records"),
        ("bad label", "a test record has label 10, above 9"),
        ("no train records", "data_batch_3.bin is empty: download http"),
        ("zip", "is a zip archive: unpack it, and give the folder"),
        ("no records", "holds no test records"),
        ("missing", "cannot read .*No such file"),
    ],
)
def test_broken_archives_are_refused_in_one_line(
    name: str, message: str, archive: Path, tmp_path: Path
) -> None:
    path = broken(name, archive, tmp_path)
    with pytest.raises(UserError, match=message) as error:
        load_cifar10("horse", path, tmp_path / "data")
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    # Nothing stays behind that could be taken for a preparation.
    assert not list((tmp_path / "data").rglob("dataset_info.json"))


def test_an_unpacked_archive_is_read_too(archive: Path, tmp_path: Path) -> None:
    expected = load_cifar10("horse", archive, tmp_path / "data")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    for folder in ("unpacked", "unpacked/cifar-10-batches-bin"):
        found = load_cifar10("horse", tmp_path / folder, tmp_path / "data")
        np.testing.assert_array_equal(found[0], expected[0])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="it has no data_batch_1.bin"):
        load_cifar10("horse", tmp_path / "empty", tmp_path / "data")


@pytest.mark.parametrize("folder", ["", "cifar10/", "a/b/"])
def test_the_files_may_lie_in_any_folder(folder: str, tmp_path: Path) -> None:
    files = {f"{folder}{name.split('/')[1]}": data for name, data in archive_files(5, 3).items()}
    assert len(read_archive(write_tar(tmp_path / "a.tar.gz", files))["train"]) == 7
    twice = files | {f"copy/{name}": data for name, data in files.items()}
    with pytest.raises(UserError, match=r"has two files data_batch_1.bin: give the folder of one of them"):
        read_archive(write_tar(tmp_path / "twice.tar.gz", twice))


@pytest.mark.parametrize(
    ("file", "version"), [("data_batch_1", "Python version"), ("data_batch_1.mat", "Matlab version")]
)
def test_the_other_versions_are_recognized(file: str, version: str, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "other.tar.gz", {f"cifar-10-batches-py/{file}": b"\x80"})
    with pytest.raises(UserError, match=f"is CIFAR-10's {version}: take the binary version, https"):
        read_archive(path)


def test_without_array_record_the_archive_itself_is_read(
    archive: Path, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = load_cifar10("horse", archive, data_dir)
    monkeypatch.setattr(cifar10, "can_prepare", lambda: False)
    found = load_cifar10("horse", archive, tmp_path)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not list(tmp_path.rglob("*.array_record*"))
    with pytest.raises(UserError, match="no train images of the category frog"):
        load_cifar10("frog", archive, tmp_path)
    assert len(load_cifar10("all", archive, tmp_path)[0]) == 54


def test_an_archive_that_has_moved_is_found_by_its_md5(archive: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copy(archive, tmp_path / "moved.tar.gz"))
    assert cifar10.last_prepared(tmp_path) is None
    train, _, md5 = load_cifar10("horse", moved, tmp_path)
    moved.unlink()
    assert cifar10.last_prepared(tmp_path) == md5
    for given in (moved, None):
        np.testing.assert_array_equal(load_cifar10("horse", given, tmp_path, md5)[0], train)
    with pytest.raises(UserError, match=r"md5 0123 is not prepared here: give it with --archive FILE"):
        load_cifar10("horse", None, tmp_path, "0123")


def test_without_network_the_official_archive_cannot_be_had(tmp_path: Path) -> None:
    assert not cifar10.is_available(tmp_path)
    with pytest.raises(UserError, match="cannot download .*: give a local copy with --archive"):
        load_cifar10("horse", None, tmp_path)


def test_prepared_data_needs_no_archive(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cifar10, "OFFICIAL_MD5", file_hash(archive))
    copy = Path(shutil.copy(archive, tmp_path / "copy.tar.gz"))
    first, _, _ = load_cifar10("horse", copy, tmp_path)
    copy.unlink()
    assert cifar10.is_available(tmp_path)
    np.testing.assert_array_equal(load_cifar10("horse", None, tmp_path)[0], first)


KILLED = """
import os, signal, sys
from pathlib import Path
from jaxcolor.data import cifar10
original = cifar10.Cifar10Binary._generate_examples
def killed(self, records):
    for i, example in enumerate(original(self, records)):
        if i == 20:
            os.kill(os.getpid(), signal.SIGKILL)
        yield example
cifar10.Cifar10Binary._generate_examples = killed
cifar10.load_cifar10("horse", Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_killed_preparation_is_made_again(archive: Path, tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, archive, tmp_path], env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    assert list(tmp_path.rglob("*incomplete*")), "it was killed before it had begun"
    train, test, _ = load_cifar10("horse", archive, tmp_path)
    assert (len(train), len(test)) == (40, 12)


def test_an_unusable_data_folder(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot"):
        load_cifar10("horse", archive, tmp_path / "file" / "data")


def test_records_that_another_process_writes_meanwhile_are_read(archive: Path, tmp_path: Path) -> None:
    builders = [find_builder(Cifar10Binary, OFFICIAL_MD5, archive, tmp_path) for _ in range(2)]
    for builder in builders:
        prepare(builder)
        assert builder.info.splits["train"].num_examples == 54


def test_several_processes_prepare_the_same_archive_once(archive: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from jaxcolor.data.cifar10 import load_cifar10; "
        "print(len(load_cifar10('horse', Path(sys.argv[1]), Path(sys.argv[2]))[0]))"
    )
    command = [sys.executable, "-c", program, str(archive), str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=-1, stderr=-1, text=True) for _ in range(3)]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert [out.splitlines()[-1] for out, _ in outputs] == ["40"] * 3
    assert sum("Preparing" in out for out, _ in outputs) == 1
