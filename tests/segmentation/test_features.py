import mmap
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from jaxcolor.errors import UserError
from jaxcolor.segmentation.features import FeatureCache, make_room

# Two arrays of features per image.
SHAPES = [((4, 6, 2), (2, 3, 4)), ((4, 6, 2), (2, 3, 4)), ((2, 4, 2), (1, 2, 4))]
LABELS = [(5, 6), (5, 6), (3, 2)]
BATCHES = [(np.array([0, 1]), False), (np.array([2]), False), (np.array([0, 1]), True), (np.array([2]), True)]


def features(index: int, flipped: bool) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng((index, flipped))
    return tuple(rng.normal(size=shape).astype(np.float32) for shape in SHAPES[index])


def labels(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 9, LABELS[index]).astype(np.uint8)


def compute(batch: tuple[np.ndarray, bool]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    indices, flipped = batch
    levels = zip(*[features(i, flipped) for i in indices.tolist()], strict=True)
    # A padded batch, as at the end of an epoch.
    stacked = [np.stack([*values, np.zeros_like(values[0])]) for values in levels]
    return stacked, [labels(i) for i in indices.tolist()]


def cache(folder: Path, dtype: str = "float32") -> FeatureCache:
    return FeatureCache(folder / "key", SHAPES, LABELS, True, dtype)


def check(filled: FeatureCache, rtol: float) -> None:
    for index in range(3):
        for flipped in (False, True):
            sample = filled.sample(index, flipped)
            for found, computed in zip(sample.inputs, features(index, flipped), strict=True):
                np.testing.assert_allclose(found.astype(np.float32), computed, rtol=rtol)
            expected = labels(index)[:, ::-1] if flipped else labels(index)
            np.testing.assert_array_equal(sample.labels, expected)


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 0), ("float16", 1e-3), ("bfloat16", 1e-2)])
def test_computed_features_are_read_back(tmp_path: Path, dtype: str, rtol: float) -> None:
    filled = cache(tmp_path, dtype)
    seen: list[int] = []
    filled.fill(BATCHES, compute, seen.append)
    assert filled.is_complete()
    assert seen == [2, 1, 2, 1]
    assert (tmp_path / "key" / "features.bin").stat().st_size == filled.bytes
    check(filled, rtol=rtol)
    check(cache(tmp_path, dtype), rtol=rtol)


@pytest.mark.parametrize("stopped_at", range(4))
def test_a_stopped_run_continues_after_the_last_batch(tmp_path: Path, stopped_at: int) -> None:
    calls: list[object] = []

    def compute_until_killed(batch: tuple[np.ndarray, bool]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        if len(calls) == stopped_at:
            raise KeyboardInterrupt
        calls.append(batch)
        return compute(batch)

    with pytest.raises(KeyboardInterrupt):
        cache(tmp_path).fill(BATCHES, compute_until_killed, lambda images: None)
    assert not cache(tmp_path).is_complete()
    again = []
    resumed = cache(tmp_path)
    resumed.fill(BATCHES, lambda batch: again.append(batch) or compute(batch), lambda images: None)  # type: ignore[func-returns-value]
    assert len(again) == 4 - stopped_at
    check(resumed, rtol=0)


def test_a_complete_cache_is_not_computed_again(tmp_path: Path) -> None:
    cache(tmp_path).fill(BATCHES, compute, lambda images: None)
    cache(tmp_path).fill(BATCHES, lambda batch: pytest.fail("computed again"), lambda images: None)


def test_a_file_of_another_size_is_computed_again(tmp_path: Path) -> None:
    cache(tmp_path).fill(BATCHES, compute, lambda images: None)
    with open(tmp_path / "key" / "features.bin", "ab") as file:
        file.write(b"x")
    assert not cache(tmp_path).is_complete()
    filled = cache(tmp_path)
    filled.fill(BATCHES, compute, lambda images: None)
    check(filled, rtol=0)


def test_a_file_that_another_process_deletes_is_computed_again(tmp_path: Path) -> None:
    mine = cache(tmp_path)
    mine.fill(BATCHES, compute, lambda images: None)
    check(mine, rtol=0)
    assert make_room(tmp_path, [tmp_path / "other"], mine.bytes, mine.bytes) is None
    assert not mine.is_complete()
    check(mine, rtol=0)  # the open file stays readable
    mine.fill(BATCHES, compute, lambda images: None)
    check(mine, rtol=0)
    check(cache(tmp_path), rtol=0)


def test_an_unwritable_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "key").touch()
    with pytest.raises(UserError, match="cannot write features into"):
        cache(tmp_path).fill(BATCHES, compute, lambda images: None)


def test_reserved_space_is_filled(tmp_path: Path) -> None:
    filled = cache(tmp_path)
    filled.reserve()
    assert (tmp_path / "key" / "features.bin").stat().st_size == filled.bytes
    assert not filled.is_complete()
    filled.fill(BATCHES, compute, lambda images: None)
    check(filled, rtol=0)
    filled.reserve()  # keeps what is there
    check(cache(tmp_path), rtol=0)
    with open(tmp_path / "key" / "features.bin", "ab") as file:
        file.write(b"x")
    broken = cache(tmp_path)
    broken.reserve()
    assert not broken.is_complete()
    broken.fill(BATCHES, compute, lambda images: None)
    check(cache(tmp_path), rtol=0)


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full, raising=False)
    with pytest.raises(UserError, match="No space left on device"):
        cache(tmp_path).fill(BATCHES, compute, lambda images: None)
    assert not (tmp_path / "key" / "features.bin").exists()


def test_room_is_made_by_deleting_the_oldest(tmp_path: Path) -> None:
    for age, name in enumerate(("new", "middle", "old")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "features.bin").write_bytes(b"x" * 100)
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    assert make_room(tmp_path, [tmp_path / "mine"], 150, 1000) is None
    assert len(list(tmp_path.iterdir())) == 3
    assert make_room(tmp_path, [tmp_path / "mine"], 150, 380) is None
    assert {path.name for path in tmp_path.iterdir()} == {"new", "middle"}
    problem = make_room(tmp_path, [tmp_path / "mine"], 10**10, 10**9)
    assert problem == "the features would take 10.0 GB, more than --cache-limit 1"
    assert make_room(tmp_path, [tmp_path / "new"], 100, 150) is None
    assert {path.name for path in tmp_path.iterdir()} == {"new"}
    assert "the disk has" in str(make_room(tmp_path, [], 10**18, 10**19))


def test_room_is_made_on_a_disk_that_is_nearly_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for age, name in enumerate(("new", "old")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "features.bin").write_bytes(b"x" * 100)
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))

    def usage(path: Path) -> SimpleNamespace:
        used = sum(file.stat().st_size for file in path.rglob("features.bin"))
        return SimpleNamespace(free=250 - used)

    monkeypatch.setattr("shutil.disk_usage", usage)
    assert make_room(tmp_path, [tmp_path / "mine"], 120, 1000) is None
    assert {path.name for path in tmp_path.iterdir()} == {"new"}
    problem = make_room(tmp_path, [tmp_path / "mine"], 300, 1000)
    assert problem is not None
    assert "and the disk has" in problem
    assert {path.name for path in tmp_path.iterdir()} == {"new"}


def resident(which: str) -> int:
    """Bytes of memory that this process has ("VmRSS"), or had at most ("VmHWM"), mapped files included."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(which))


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="it takes Linux to tell")
def test_features_are_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    count, shape = 100, (64, 64, 64)  # 1 MB each
    large = FeatureCache(tmp_path / "key", [(shape,)] * count, [(4, 4)] * count, False, "float32")
    batches = [(np.arange(i, i + 4), False) for i in range(0, count, 4)]

    def constant(batch: tuple[np.ndarray, bool]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        values = np.empty((4, *shape), np.float32)
        values[:] = batch[0][:, None, None, None]
        return [values], [np.zeros((4, 4), np.uint8)] * 4

    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    large.fill(batches, constant, lambda images: None)
    means = [float(large.sample(i, False).inputs[0][0, 0, 0]) for i in range(count)]
    peak = resident("VmHWM") - before
    assert large.bytes > 100e6
    assert means == list(range(count))
    assert peak < 40e6  # a batch of 4 MB, copies of it, and the pages that are mapped


def test_systems_without_posix_calls_fill_and_read_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PlainMap(mmap.mmap):
        @property
        def madvise(self) -> None:  # type: ignore[override]
            raise AttributeError("madvise")

    monkeypatch.delattr("os.posix_fallocate", raising=False)
    monkeypatch.setattr("jaxcolor.segmentation.features.mmap.mmap", PlainMap)
    filled = cache(tmp_path)
    filled.fill(BATCHES, compute, lambda images: None)
    assert (tmp_path / "key" / "features.bin").stat().st_size == filled.bytes
    check(filled, rtol=0)
