import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import tiny_backbone
from PIL import Image
from pth_files import write_weights
from voc_layout import NAMES, write_voc, write_voc_tar

import jaxcolor
from jaxcolor.errors import UserError
from jaxcolor.images import LabelMap
from jaxcolor.segmentation import job as job_module
from jaxcolor.segmentation import loader as loader_module
from jaxcolor.segmentation.config import SegmentConfig
from jaxcolor.segmentation.data import Dataset, load_dataset
from jaxcolor.segmentation.features import FeatureCache
from jaxcolor.segmentation.job import (
    choose_samples,
    class_weights,
    make_optimizer,
    resolve,
    segment,
)
from jaxcolor.training.checkpoints import Checkpoints
from jaxcolor.training.run import load_run
from jaxcolor.training.run_folder import RunFolder


@pytest.fixture
def config(tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SegmentConfig:
    """Two epochs on five images of 48×64 pixels; the last batch has one image."""
    monkeypatch.setattr(loader_module, "cache_folder", lambda: tmp_path / "cache")
    return SegmentConfig(
        backbone=tiny, voc_dir=write_voc(tmp_path / "voc"), classes="3", epochs=2, batch_size=2,
        image_size=(48,), learning_rate=0.02, runs_dir=tmp_path / "runs",
    )  # fmt: skip


def metrics_of(config: SegmentConfig) -> list[dict[str, Any]]:
    """The logged metrics, without times."""
    lines = RunFolder(config.folder).read_metrics()
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*.png")}


def test_a_run_writes_all_its_files(config: SegmentConfig, capsys: pytest.CaptureFixture[str]) -> None:
    found = segment(config)
    assert found is not None
    out = capsys.readouterr().out
    assert "frozen: unchanged" in out
    assert "Computing the frozen features of the train images" in out
    assert "class 1        IoU" in out
    lines = metrics_of(config)
    assert [line["epoch"] for line in lines] == [0, 1, 2]
    assert "train_loss" not in lines[0]
    assert lines[2].keys() == {
        "epoch", "train_loss", "val_loss", "pixel_accuracy", "mean_accuracy", "mean_iou",
    }  # fmt: skip
    assert lines[2]["val_loss"] < lines[0]["val_loss"]
    assert names_in(config.folder) == {"curves.png", "confusion.png", "validation-epoch-002.png"}
    record = json.loads((config.folder / "config.json").read_text())
    assert record["trainable_parameters"] < record["parameters"]
    assert record["weights"]["classifier"] == record["weights"]["head"] == "new"
    assert record["dataset"]["classes"] == ["class 0", "class 1", "class 2"]
    saved = Checkpoints(config.folder / "checkpoints")
    assert saved.epoch("latest") == 2
    saved.close()


def test_the_cache_changes_no_numbers(config: SegmentConfig) -> None:
    segment(config)
    segment(dataclasses.replace(config, cache=False, name="plain"))
    for ours, plain in zip(
        metrics_of(config), metrics_of(dataclasses.replace(config, name="plain")), strict=True
    ):
        assert ours == pytest.approx(plain, rel=2e-3)


def test_features_are_computed_once(config: SegmentConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    segment(config)
    monkeypatch.setattr(FeatureCache, "_allocate", lambda self: pytest.fail("computed again"))
    segment(dataclasses.replace(config, name="again", learning_rate=0.01))


def test_features_beyond_the_limit_are_computed_in_every_epoch(
    config: SegmentConfig, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    segment(dataclasses.replace(config, cache_limit=1e-6, epochs=1))
    assert "more than --cache-limit 1e-06: frozen features are computed again" in capsys.readouterr().out
    assert not list((tmp_path / "cache").rglob("features.bin"))


class Killed(BaseException):
    pass


@pytest.mark.parametrize(
    ("target", "where", "call"),
    [
        (FeatureCache, "_note", 3),
        (job_module.SegmentJob, "draw", 1),
        (Checkpoints, "save", 1),
        (job_module.SegmentJob, "evaluate", 3),
    ],
)
def test_a_run_stopped_anywhere_resumes_to_the_same_numbers(
    config: SegmentConfig, monkeypatch: pytest.MonkeyPatch, target: Any, where: str, call: int
) -> None:
    original, calls = getattr(target, where), []

    def stop(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == call:
            raise Killed
        return original(self, *args, **kwargs)

    stopped = dataclasses.replace(config, name="stopped")
    with monkeypatch.context() as patch:
        patch.setattr(target, where, stop)
        with pytest.raises(Killed):
            segment(stopped)
    segment(dataclasses.replace(stopped, resume=True))
    segment(config)
    assert metrics_of(stopped) == metrics_of(config)
    assert names_in(stopped.folder) == names_in(config.folder)


def test_all_parts_can_be_trained(config: SegmentConfig, capsys: pytest.CaptureFixture[str]) -> None:
    config = dataclasses.replace(config, train="all", aux=True, epochs=1, batch_size=5)
    segment(config)
    assert "frozen" not in capsys.readouterr().out
    record = RunFolder(config.folder).read_config()
    assert record["trainable_parameters"] == record["parameters"]
    assert record["weights"]["aux_head"] == "new"
    before, after = metrics_of(config)
    assert np.isfinite(after["train_loss"])
    assert after["val_loss"] != before["val_loss"]


def test_a_last_layer_needs_a_pretrained_head(config: SegmentConfig) -> None:
    with pytest.raises(UserError, match="has no head of a DeepLabV3"):
        segment(dataclasses.replace(config, train="last"))


def test_evaluate_repeats_the_validation(config: SegmentConfig) -> None:
    trained = segment(config)
    evaluated = segment(dataclasses.replace(config, evaluate=True, checkpoint="latest"))
    assert trained is not None
    assert evaluated is not None
    for name, value in evaluated.items():
        assert trained[name] == pytest.approx(value, rel=1e-5)


def test_init_from_another_run(config: SegmentConfig) -> None:
    trained = segment(config)
    other = dataclasses.replace(config, name="other", init_from=Path(config.folder.name), checkpoint="latest")
    segment(dataclasses.replace(other, learning_rate=1e-9, epochs=1))
    assert trained is not None
    assert metrics_of(other)[0]["val_loss"] == pytest.approx(trained["val_loss"], rel=1e-5)


def test_random_crops_and_sizes(config: SegmentConfig, tmp_path: Path) -> None:
    config = dataclasses.replace(config, epochs=1)
    runs = [
        dataclasses.replace(config, name="crop", crop=32, image_size=(), flip=False, class_weights="none"),
        dataclasses.replace(config, name="wide", image_size=(32, 64), schedule="constant"),
    ]
    for run in runs:
        segment(run)
    (_, cropped), (_, wide) = map(metrics_of, runs)
    assert np.isfinite([cropped["train_loss"], wide["train_loss"]]).all()
    assert cropped["val_loss"] != pytest.approx(wide["val_loss"], rel=1e-3)
    # Crops differ from epoch to epoch, so that their features cannot be kept.
    assert len(list((tmp_path / "cache").rglob("features.bin"))) == 2


def test_images_of_many_sizes_and_an_archive(config: SegmentConfig, tmp_path: Path) -> None:
    sizes = {name: (40 + 3 * i, 64 - 2 * i) for i, name in enumerate("abcdexyz")}
    many = dataclasses.replace(config, voc_dir=write_voc(tmp_path / "many", sizes), epochs=1, name="many")
    segment(many)
    assert len(metrics_of(many)) == 2
    tar = write_voc_tar(tmp_path / "tar")
    archive = dataclasses.replace(
        config, voc_dir=None, archive=tar, data_dir=tmp_path / "data", name="tar", epochs=1
    )
    segment(archive)
    segment(dataclasses.replace(config, epochs=1))
    assert metrics_of(archive) == metrics_of(config)


def test_predict_writes_masks_and_overlays(
    config: SegmentConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    segment(dataclasses.replace(config, epochs=1))
    large = tmp_path / "large.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (71, 95, 3)).astype(np.uint8)).save(large)
    jpg = tmp_path / "voc/VOCdevkit/VOC2012/JPEGImages/x.jpg"
    segment(dataclasses.replace(config, predict=(large, jpg)))
    folder = config.folder / "predictions"
    for name, size in (("large", (95, 71)), ("x", (64, 48))):
        with Image.open(folder / f"{name}-mask.png") as mask:
            assert mask.mode == "P"
            assert mask.size == size
            assert np.asarray(mask).max() <= 2
        with Image.open(folder / f"{name}-overlay.png") as overlay:
            assert overlay.width >= size[0]
            assert overlay.height > size[1]
    assert "large-mask.png" in capsys.readouterr().out
    (tmp_path / "text.jpg").write_text("no image")
    with pytest.raises(UserError, match=r"1 of 2 images have no prediction: .*text.jpg is broken"):
        segment(dataclasses.replace(config, predict=(jpg, tmp_path / "text.jpg")))
    with pytest.raises(UserError, match="two images are named x"):
        segment(
            dataclasses.replace(
                config, predict=(jpg, tmp_path / "voc/VOCdevkit/VOC2012/SegmentationClass/x.png")
            )
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"voc_dir": Path("missing")}, "missing has no ImageSets/Segmentation"),
        ({"classes": "2"}, "has label 2, but there are 2 classes"),
        ({"weights": Path("missing.pth")}, "cannot read .*missing.pth: No such file"),
        ({"weights": Path(__file__)}, "test_job.py as weights of PyTorch"),
        ({"backbone": "resnet50"}, "cannot download .*deeplabv3_resnet50"),
        ({"evaluate": True}, "there is no run in"),
        ({"predict": (Path("a.jpg"),)}, "there is no run in"),
        ({"voc_dir": None, "classes": None, "dataset": "voc"}, "from any of 4 servers"),
        ({"precision": "tf32"}, "tf32 is for GPUs"),
        ({"runs_dir": Path("/dev/null/runs")}, "Not a directory"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    config: SegmentConfig, change: dict, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as error:
        segment(dataclasses.replace(config, **({"data_dir": tmp_path / "data"} | change)))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_broken_file_is_named_before_a_run_is_replaced(config: SegmentConfig, split: str) -> None:
    segment(dataclasses.replace(config, epochs=1))
    before = {path: path.read_bytes() for path in config.folder.rglob("*") if path.is_file()}
    assert config.voc_dir
    name = NAMES[split][1]
    broken = config.voc_dir / f"VOCdevkit/VOC2012/JPEGImages/{name}.jpg"
    broken.write_bytes(broken.read_bytes()[:-99])
    with pytest.raises(UserError, match=f"{name}.jpg is broken"):
        segment(dataclasses.replace(config, overwrite=True, class_weights="none"))
    assert {path: path.read_bytes() for path in config.folder.rglob("*") if path.is_file()} == before


def test_a_run_keeps_its_frozen_weights(config: SegmentConfig, tmp_path: Path) -> None:
    segment(dataclasses.replace(config, epochs=1))
    other = write_weights(tmp_path / "other.pth", tiny_backbone.weights(seed=1))
    changes: list[dict[str, Any]] = [{"evaluate": True}, {"resume": True}]
    for change in changes:
        with pytest.raises(UserError, match="trained on other weights than other.pth"):
            segment(dataclasses.replace(config, epochs=1, weights=other, **change))


def test_a_loaded_network_predicts_as_its_job(config: SegmentConfig, tmp_path: Path) -> None:
    own = write_weights(tmp_path / "own.pth", tiny_backbone.weights(seed=2))
    config = dataclasses.replace(config, weights=own)
    segment(config)
    assert config.voc_dir
    path = config.voc_dir / "VOCdevkit/VOC2012/JPEGImages/x.jpg"
    image = np.asarray(Image.open(path))
    folder = RunFolder(config.folder)
    asked = dataclasses.replace(config, evaluate=True, checkpoint="latest")
    job, state, _ = load_run(asked, job_module.build_job)
    expected = job._label(state, image, (48, 64))  # type: ignore[attr-defined]
    shutil.rmtree(config.voc_dir)
    model = jaxcolor.load(config.folder, "latest")
    found = model.predict(image)
    assert isinstance(found, LabelMap)
    assert found.classes == ("class 0", "class 1", "class 2")
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(model.predict(np.stack([image, image]))[1], expected)
    assert model.predict(image[:1, :5]).shape == (1, 5)
    write_weights(own, tiny_backbone.weights(seed=3))
    with pytest.raises(UserError, match="was trained on other weights than own.pth"):
        jaxcolor.load(folder.path)


def test_resume_refuses_other_settings(config: SegmentConfig) -> None:
    segment(config)
    for change, message in (
        ({"learning_rate": 0.1}, "was started with --learning-rate 0.02, not 0.1"),
        ({"epochs": 3}, "was planned for 2 epochs"),
        ({"output_stride": 8}, "was started with --output-stride 16, not 8"),
    ):
        with pytest.raises(UserError, match=message):
            segment(dataclasses.replace(config, resume=True, **change))


def test_class_weights_are_one_over_the_root_of_the_frequency() -> None:
    counts = np.zeros(256, np.int64)
    counts[[0, 1, 255]] = [900, 100, 5000]
    found = class_weights("sqrt", counts, 3)
    # Frequencies 0.9 and 0.1: 1/√0.9 and 1/√0.1, scaled to a mean of 1 over the pixels; class 2 is absent.
    raw = np.array([0.9**-0.5, 0.1**-0.5])
    np.testing.assert_allclose(found, [*raw / (0.9 * raw[0] + 0.1 * raw[1]), 0], rtol=1e-6)
    np.testing.assert_array_equal(class_weights("none", counts, 3), [1, 1, 1])


def test_the_learning_rate_decreases_as_a_polynomial() -> None:
    config = SegmentConfig(learning_rate=0.5)
    optimizer = make_optimizer(config, steps=10)
    params = {"w": jnp.zeros(())}
    state = optimizer.init(params)
    steps = []
    for _ in range(11):
        # With a constant gradient each step of Adam has the size of the learning rate.
        updates, state = optimizer.update({"w": jnp.ones(())}, state, params)
        steps.append(-float(updates["w"]))
    np.testing.assert_allclose(steps, [0.5 * (1 - i / 10) ** 0.9 for i in range(11)], atol=1e-5)
    constant = make_optimizer(dataclasses.replace(config, schedule="constant"), steps=10)
    updates, _ = constant.update({"w": jnp.ones(())}, constant.init(params), params)
    assert float(updates["w"]) == pytest.approx(-0.5, rel=1e-5)


def test_samples_are_spread_best_and_worst_without_repetition() -> None:
    scores = np.asarray([0.5, 0.9, np.nan, 0.1, 0.6, 0.8, 0.2, 0.7, 0.3, 0.4])
    assert choose_samples(scores) == {"": [0, 5, 9], "best: ": [1, 7, 4], "worst: ": [3, 6, 8]}
    assert choose_samples(np.asarray([0.5, np.nan])) == {"": [0], "best: ": [], "worst: ": []}
    assert choose_samples(np.asarray([0.5, 0.1, 0.9, 0.7])) == {"": [0, 1, 3], "best: ": [2], "worst: ": []}


def test_defaults_depend_on_the_backbone_and_the_data(config: SegmentConfig) -> None:
    sample = load_dataset(SegmentConfig(dataset="sample"))
    voc = dataclasses.replace(sample, facts={"name": "voc"})

    def resolved(data: Dataset, **settings: Any) -> SegmentConfig:
        return resolve(SegmentConfig(**settings), data)

    assert resolved(voc).output_stride == 16
    assert resolved(voc, backbone="resnet101").output_stride == 8
    assert resolved(voc, output_stride=8).output_stride == 8
    assert resolved(voc).image_size == resolved(voc, backbone="resnet101").image_size == (520,)
    assert resolved(sample).image_size == (256,)
    assert resolved(sample).dataset == "sample"
    assert resolved(voc, crop=320).image_size == ()
    assert resolved(voc, image_size=(64,)).image_size == (64,)
    assert resolved(voc).class_weights == "none"
    assert resolved(voc, class_weights="sqrt").class_weights == "sqrt"
    assert resolve(config, voc).class_weights == "sqrt"


@pytest.mark.slow
def test_efficientnet_trains_and_predicts(config: SegmentConfig) -> None:
    whole = dataclasses.replace(config, backbone="efficientnet-lite0", epochs=1, learning_rate=1e-3)
    before, after = (segment(whole), metrics_of(whole))[1]
    assert after["val_loss"] < before["val_loss"]
    image = np.zeros((48, 64, 3), np.uint8)
    assert jaxcolor.load(whole.folder).predict(image).shape == (48, 64)
