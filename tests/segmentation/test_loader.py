import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from voc_layout import write_voc

import jaxcolor
from jaxcolor.data.label_maps import VOID
from jaxcolor.segmentation import loader as loader_module
from jaxcolor.segmentation.config import SegmentConfig
from jaxcolor.segmentation.data import load_dataset
from jaxcolor.segmentation.features import FeatureCache
from jaxcolor.segmentation.loader import Loader
from jaxcolor.segmentation.model import build_model
from jaxcolor.segmentation.task import features_after
from jaxcolor.training.devices import Devices
from jaxcolor.training.state import TrainState, create_state

Compute = Callable[[np.ndarray], np.ndarray]


@pytest.fixture(scope="module")
def config(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> SegmentConfig:
    """Five training and three validation images: the left half is class 1, the right half class 2."""
    return SegmentConfig(
        backbone=tiny, voc_dir=write_voc(tmp_path_factory.mktemp("voc")), classes="3", batch_size=2,
        image_size=(48,), cache=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def state(config: SegmentConfig) -> TrainState:
    """New weights of the network."""
    model = build_model(config, 3)
    variables: Any = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 48, 64, 3)))
    return create_state(model.apply, variables, optax.identity())


@pytest.fixture
def cache_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(loader_module, "cache_folder", lambda: tmp_path)
    return tmp_path / "features"


def make(config: SegmentConfig, fingerprint: str = "fingerprint", **settings: Any) -> Loader:
    config = dataclasses.replace(config, **settings)
    return Loader(config, load_dataset(config), build_model(config, 3), fingerprint, Devices(1))


def images_of(loader: Loader, state: TrainState, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the images and label maps of an epoch in their order, without padding."""
    batches = list(loader.train_batches(state, epoch))
    valid = np.concatenate([batch["valid"] for batch in batches]) == 1
    inputs, labels = (np.concatenate([batch[name] for batch in batches]) for name in ("inputs", "labels"))
    return inputs[valid], labels[valid]


def are_mirrored(labels: np.ndarray) -> list[bool]:
    return (labels[:, 20, 10] == 2).tolist()


def order_of(loader: Loader, state: TrainState, epoch: int) -> list[int]:
    """Return the indices of an epoch's images."""
    plain = [loader.splits["train"].examples[index].image for index in range(5)]
    images, _ = images_of(loader, state, epoch)
    return [next(i for i in range(5) if np.array_equal(plain[i], image)) for image in images]


def test_half_of_the_images_are_mirrored_anew_in_each_epoch(config: SegmentConfig, state: TrainState) -> None:
    loader = make(config)
    drawn = [are_mirrored(images_of(loader, state, epoch)[1]) for epoch in range(1, 41)]
    assert 75 < sum(map(sum, drawn)) < 125  # of 200
    assert len({tuple(one) for one in drawn}) > 10
    images, labels = images_of(loader, state, 1)
    assert are_mirrored(labels) == drawn[0]
    # The left half is red where it is class 1, and blue where it is class 2.
    is_red = images[:, 20, 10, 0] > images[:, 20, 10, 2]
    assert (~is_red).tolist() == are_mirrored(labels)
    other = make(config, seed=1)
    assert [are_mirrored(images_of(other, state, epoch)[1]) for epoch in range(1, 11)] != drawn[:10]


def test_the_order_follows_from_seed_and_epoch(config: SegmentConfig, state: TrainState) -> None:
    loader, other = make(config, flip=False), make(config, flip=False, seed=1)
    orders = [order_of(loader, state, epoch) for epoch in range(1, 5)]
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in orders)
    assert len({tuple(order) for order in orders}) > 1
    assert order_of(loader, state, 1) == orders[0]
    assert [order_of(other, state, epoch) for epoch in range(1, 5)] != orders
    assert not any(are_mirrored(images_of(loader, state, 1)[1]))


def test_each_process_reads_its_rows_and_a_resumed_epoch_its_last_batches(
    config: SegmentConfig, state: TrainState
) -> None:
    loader = make(config)
    whole = list(loader.train_batches(state, 1))
    (rest,) = loader.train_batches(state, 1, start=2)
    jax.tree.map(np.testing.assert_array_equal, rest, whole[2])
    for row in range(2):
        loader.share = slice(row, row + 1)
        for all_rows, own in zip(whole, loader.train_batches(state, 1), strict=True):
            expected = {name: array[loader.share] for name, array in all_rows.items()}
            jax.tree.map(np.testing.assert_array_equal, own, expected)


def test_an_epoch_has_every_image_once_and_the_last_batch_is_padded(
    config: SegmentConfig, state: TrainState
) -> None:
    loader = make(config)
    batches = list(loader.train_batches(state, 1))
    assert len(batches) == loader.steps() == 3
    assert [batch["valid"].tolist() for batch in batches] == [[1, 1], [1, 1], [1, 0]]
    assert (batches[2]["labels"][1] == VOID).all()
    assert loader.after == "images"
    assert make(config, batch_size=8).steps() == 1
    (batch,) = make(config, batch_size=8).train_batches(state, 1)
    assert batch["inputs"].shape == (5, 48, 64, 3)


def test_images_of_many_sizes_are_grouped_into_batches_of_one_size(
    config: SegmentConfig, state: TrainState, tmp_path: Path
) -> None:
    sizes = {name: (40 + i, 70 - i) for i, name in enumerate("abcde")}
    loader = make(config, voc_dir=write_voc(tmp_path, sizes), flip=False)
    assert loader.splits["train"].sizes == [(64, 96)] * 2 + [(64, 64)] * 3
    batches = list(loader.train_batches(state, 1))
    assert len(batches) == loader.steps() == 3
    shapes = sorted(batch["inputs"].shape[1:3] for batch in batches)
    assert shapes == [(64, 64), (64, 64), (64, 96)]
    assert all(batch["labels"].shape == batch["inputs"].shape[:3] for batch in batches)
    assert sum(batch["valid"].sum() for batch in batches) == 5


def test_validation_keeps_the_order_and_adds_interpolations(config: SegmentConfig, state: TrainState) -> None:
    loader = make(config)
    indices, batches = loader.validation_batches(state)
    assert [part.tolist() for part in indices] == [[0, 1], [2]]
    first, last = batches
    assert first["rows"].shape == (2, 48, 3)
    assert first["columns"].shape == (2, 64, 4)
    assert last["valid"].tolist() == [1, 0]
    examples = loader.splits["validation"].examples
    inputs = np.concatenate([first["inputs"], last["inputs"]])
    labels = np.concatenate([first["labels"], last["labels"]])
    for index in range(3):
        np.testing.assert_array_equal(inputs[index], examples[index].image)
        np.testing.assert_array_equal(labels[index], examples[index].label_map)


@pytest.fixture(scope="module")
def compute(state: TrainState) -> Compute:
    """Return a compiled function from images to the features of the backbone."""
    features = jax.jit(features_after, static_argnums=0)
    return lambda images: np.asarray(features("backbone", state, images)[0])


def check_features(
    compute: Compute, ours: dict[str, Any], plain: dict[str, Any], tolerance: float = 1e-6
) -> None:
    """Compare a batch of cached features with the batch of images that they belong to."""
    count = int(plain["valid"].sum())
    expected = compute(plain["inputs"])[:count]
    (inputs,) = ours["inputs"]
    difference = np.abs(inputs[:count].astype(np.float32) - expected).max()
    assert difference <= tolerance * np.abs(expected).max()
    for name in plain.keys() - {"inputs"}:
        np.testing.assert_array_equal(ours[name], plain[name])


def test_cached_features_are_those_of_the_images_mirrored_or_not(
    config: SegmentConfig, state: TrainState, cache_root: Path, compute: Compute
) -> None:
    cached, plain = make(config, cache=True), make(config)
    assert cached.after == "backbone"
    mirrored = []
    for epoch in (1, 2):
        batches = cached.train_batches(state, epoch), plain.train_batches(state, epoch)
        for ours, theirs in zip(*batches, strict=True):
            assert ours["inputs"][0].shape == (2, 3, 4, 6)
            check_features(compute, ours, theirs)
            mirrored += are_mirrored(theirs["labels"])
    assert set(mirrored) == {True, False}
    validation = cached.validation_batches(state)[1], plain.validation_batches(state)[1]
    for ours, theirs in zip(*validation, strict=True):
        check_features(compute, ours, theirs)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 2**-11), ("bfloat16", 2**-8)])
def test_16_bit_caches_need_half_the_space(
    config: SegmentConfig,
    state: TrainState,
    cache_root: Path,
    compute: Compute,
    dtype: Any,
    tolerance: float,
) -> None:
    cached = make(config, cache=True, cache_dtype=dtype, flip=False)
    for ours, theirs in zip(
        cached.train_batches(state, 1), make(config, flip=False).train_batches(state, 1), strict=True
    ):
        assert ours["inputs"][0].dtype == dtype
        check_features(compute, ours, theirs, tolerance)
    file = max(cache_root.rglob("features.bin"), key=lambda path: path.stat().st_size)  # of the train images
    # 3×4 features of 6 channels, and 48×64 labels.
    assert file.stat().st_size == 5 * (2 * 3 * 4 * 6 + 48 * 64)


def test_features_are_computed_once(
    config: SegmentConfig,
    state: TrainState,
    cache_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    list(make(config, cache=True).train_batches(state, 1))
    assert "Computing the frozen features of the train images" in capsys.readouterr().out
    monkeypatch.setattr(loader_module, "features_after", lambda *_: pytest.fail("computed again"))
    assert len(list(make(config, cache=True, learning_rate=0.5).train_batches(state, 2))) == 3
    assert capsys.readouterr().out == ""


def test_a_killed_run_leaves_features_that_the_next_run_completes(
    config: SegmentConfig, state: TrainState, cache_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[int] = []
    original = FeatureCache._note

    def note(self: FeatureCache, batches: int, complete: bool) -> None:
        if batches == 3 and not noted.count(3):
            noted.append(3)
            raise KeyboardInterrupt
        noted.append(batches)
        original(self, batches, complete)

    monkeypatch.setattr(FeatureCache, "_note", note)
    with pytest.raises(KeyboardInterrupt):
        make(config, cache=True).train_batches(state, 1)
    assert len(list(make(config, cache=True).train_batches(state, 1))) == 3
    assert noted == [1, 2, 3, 3, 4, 5, 6]


def key_of(loader: Loader) -> str:
    return loader._caches["train"].folder.name


def test_every_entry_changes_the_key_of_the_cache(
    config: SegmentConfig, cache_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(config, cache=True)
    voc = write_voc(tmp_path / "voc")
    loader = make(config)
    first = key_of(loader)
    assert key_of(make(config, voc_dir=voc)) == first  # the same images in another folder
    (voc / "VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt").write_text("a\nb\nd\nc\ne\n")
    changes: list[dict[str, Any]] = [
        {"output_stride": 8},
        {"train": "last"},
        {"precision": "bfloat16"},
        {"cache_dtype": "float16"},
        {"voc_dir": voc},
        {"batch_size": 3},
        {"flip": False},
    ]
    keys = [first, key_of(make(config, "other")), *[key_of(make(config, **change)) for change in changes]]

    split = loader.splits["train"]
    for name in ("sizes", "label_sizes"):
        changed = copy.copy(split)
        setattr(changed, name, [(64, 64)] * 5)
        keys.append(loader._cache_key(changed, True, "fingerprint"))
    loader.config = dataclasses.replace(loader.config, backbone="resnet50")
    keys.append(loader._cache_key(split, True, "fingerprint"))
    with monkeypatch.context() as patch:
        patch.setattr(jaxcolor, "__version__", "0.0")
        keys.append(key_of(make(config)))
    with monkeypatch.context() as patch:
        patch.setattr(jax, "default_backend", lambda: "gpu")
        keys.append(key_of(make(config)))
    assert len(set(keys)) == len(keys)


def test_settings_of_the_trainable_part_keep_the_key(config: SegmentConfig, cache_root: Path) -> None:
    config = dataclasses.replace(config, cache=True)
    same: dict[str, Any] = {
        "learning_rate": 0.5, "epochs": 7, "seed": 3, "schedule": "constant", "class_weights": "none",
        "cache_limit": 1.0, "name": "other",
    }  # fmt: skip
    assert key_of(make(config, **same)) == key_of(make(config))


def test_features_beyond_the_limit_are_not_cached(
    config: SegmentConfig, state: TrainState, cache_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loader = make(config, cache=True, cache_limit=1e-6)
    assert capsys.readouterr().out == (
        "the features would take 0.0 GB, more than --cache-limit 1e-06: "
        "frozen features are computed again in every epoch; --cache-dtype float16 halves them\n"
    )
    make(config, cache=True, cache_limit=1e-6, cache_dtype="float16")
    assert "halves" not in capsys.readouterr().out
    assert loader.after == "images"
    assert next(iter(loader.train_batches(state, 1)))["inputs"].dtype == np.uint8
    assert not list(cache_root.rglob("*"))


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_without_a_writable_folder_features_are_not_cached(
    config: SegmentConfig,
    state: TrainState,
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(loader_module, "cache_folder", lambda: tmp_path / place)
    loader = make(config, cache=True)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"cannot cache features in {tmp_path / place / 'features'} (")
    assert line.endswith("): frozen features are computed again in every epoch")
    assert loader.after == "images"
    assert next(iter(loader.train_batches(state, 1)))["inputs"].dtype == np.uint8


def test_on_a_full_disk_features_are_not_cached(
    config: SegmentConfig,
    cache_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full, raising=False)
    assert make(config, cache=True).after == "images"
    assert "No space left on device" in capsys.readouterr().out
    assert not list(cache_root.rglob("features.bin"))


@pytest.mark.parametrize(
    ("settings", "after"),
    [
        ({"train": "last"}, "head"),
        ({"train": "head"}, "backbone"),
        ({"train": "all"}, "images"),
        ({"crop": 32, "image_size": ()}, "images"),
    ],
)
def test_the_frozen_part_decides_what_is_cached(
    config: SegmentConfig, cache_root: Path, settings: dict, after: str
) -> None:
    assert make(config, cache=True, **settings).after == after
