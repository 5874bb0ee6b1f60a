import copy
import csv
import dataclasses
import json
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny_backbone
from PIL import Image
from pth_files import Fake, write_weights
from trained_segmenter import Trained
from voc_layout import NAMES, write_voc

import jaxcolor
from jaxcolor.data.classes import VOC_CLASSES
from jaxcolor.data.label_maps import VOID
from jaxcolor.errors import UserError
from jaxcolor.images import save_image
from jaxcolor.pretrained.imagenet import normalize
from jaxcolor.segmentation import job as job_module
from jaxcolor.segmentation import loader as loader_module
from jaxcolor.segmentation.config import SegmentConfig
from jaxcolor.segmentation.data import Dataset, load_dataset
from jaxcolor.segmentation.drawing import Panel
from jaxcolor.segmentation.features import FeatureCache
from jaxcolor.segmentation.job import (
    SegmentJob,
    build_job,
    build_optimizer,
    choose_samples,
    loss_label,
    resolve,
    segment,
)
from jaxcolor.segmentation.scores import count_confusion, scores
from jaxcolor.segmentation.task import TRAINABLE
from jaxcolor.training.checkpoints import Checkpoints
from jaxcolor.training.fit import Evaluation
from jaxcolor.training.run_folder import RunFolder
from jaxcolor.training.state import masked

# (1 − step / 6) to the power of 0.9, for each step
POLY = [1, 0.84867, 0.69425, 0.53589, 0.37204, 0.19937]


@pytest.fixture(autouse=True)
def blank_drawings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write an empty image in place of each drawing, because drawing takes as long as training here."""
    for name in (
        "training.curves.draw_curves", "segmentation.confusion_matrix.draw_confusion",
        "segmentation.job.draw_legend", "segmentation.job.draw_predictions",
    ):  # fmt: skip
        monkeypatch.setattr(f"jaxcolor.{name}", lambda path, *_: save_image(path, Image.new("L", (1, 1))))


@pytest.fixture
def config(tiny: str, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SegmentConfig:
    """The settings of the shared run, for a run in a folder of its own."""
    monkeypatch.setattr(loader_module, "cache_folder", lambda: trained.cache)
    return dataclasses.replace(trained.config, runs_dir=tmp_path / "runs")


def build(config: SegmentConfig) -> SegmentJob:
    return build_job(config, RunFolder(config.folder), None)


def metrics_of(config: SegmentConfig) -> list[dict[str, Any]]:
    """Return the logged metrics, without times."""
    lines = RunFolder(config.folder).read_metrics()
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def drawings_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*.png")}


def files_in(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Killed(BaseException):
    pass


def kill_at(patch: pytest.MonkeyPatch, owner: type, method: str, call: int) -> None:
    """End the program at one of the calls of a method."""
    original, calls = getattr(owner, method), []

    def stop(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == call:
            raise Killed
        return original(self, *args, **kwargs)

    patch.setattr(owner, method, stop)


def test_a_run_writes_all_its_files(trained: Trained) -> None:
    folder = trained.config.folder
    assert "Computing the frozen features of the train images" in trained.output
    assert "The frozen weights are unchanged." in trained.output
    assert "class 1  IoU" in trained.output
    assert "generated shapes" not in trained.output
    before, first, last = metrics_of(trained.config)
    assert [line["epoch"] for line in (before, first, last)] == [0, 1, 2]
    scored = {"epoch", "val_loss", "pixel_accuracy", "mean_accuracy", "mean_iou"}
    assert before.keys() == scored
    assert first.keys() == last.keys() == scored | {"train_loss"}
    assert last["val_loss"] < before["val_loss"]
    assert last == {name: value for name, value in trained.metrics.items() if name != "seconds"}
    assert drawings_in(folder) == {"curves.png", "confusion.png", "legend.png", "validation-epoch-002.png"}
    found = json.loads((folder / "scores.json").read_text())
    assert found["epoch"] == 2
    assert {name: found[name] for name in scored - {"epoch"}} == {
        name: last[name] for name in scored - {"epoch"}
    }
    # The validation masks have three images of 4·64, 44·32 and 44·31 pixels of each class, besides void.
    assert [entry["name"] for entry in found["classes"]] == ["class 0", "class 1", "class 2"]
    assert [entry["pixels"] for entry in found["classes"]] == [3 * 256, 3 * 1408, 3 * 1364]
    assert np.mean([entry["iou"] for entry in found["classes"]]) == pytest.approx(last["mean_iou"])
    with open(folder / "scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == NAMES["val"]
    # All images have the same size, and the same number of void pixels.
    accuracies = [float(row["pixel_accuracy"]) for row in rows]
    assert np.mean(accuracies) == pytest.approx(last["pixel_accuracy"])
    record = RunFolder(folder).read_config()
    # The convolutions of ASPP, the one after it, 7 BatchNorms of 8 channels, and the classifier; then the two
    # convolutions of the backbone with their BatchNorms.
    head = 48 + 3 * 432 + 48 + 320 + 576 + 7 * 16 + (8 * 3 + 3)
    assert (record["trainable_parameters"], record["parameters"]) == (head, head + 116 + 36)
    assert record["weights"]["backbone"] == "pretrained"
    assert record["weights"]["classifier"] == record["weights"]["head"] == "new"
    assert record["weights"]["file"] == "own.pth"
    assert "own.pth: the weights; backbone: pretrained, head: new, classifier: new\n" in trained.output
    assert record["dataset"]["classes"] == ["class 0", "class 1", "class 2"]
    # Pixels by class: 4·64, 44·32 and 44·31 per image, without 44 of void.
    frequency = np.array([256, 1408, 1364]) / 3028
    expected = frequency**-0.5 / (frequency**0.5).sum()
    np.testing.assert_allclose(record["class_weights"], expected, atol=1e-4)


def test_the_cache_changes_no_numbers(config: SegmentConfig, trained: Trained) -> None:
    plain = dataclasses.replace(config, cache=False)
    segment(plain)
    for ours, theirs in zip(metrics_of(trained.config), metrics_of(plain), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_numbers(
    config: SegmentConfig, trained: Trained, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(loader_module, "cache_folder", lambda: tmp_path / "cache")
    kills: list[tuple[type, str, int]] = [
        (FeatureCache, "_note", 5),  # while the features of the third of six batches are written
        (Checkpoints, "save", 1),  # after epoch 1 is logged
        (SegmentJob, "draw", 1),  # after epoch 1 is saved
    ]
    for number, kill in enumerate(kills):
        with monkeypatch.context() as patch:
            kill_at(patch, *kill)
            with pytest.raises(Killed):
                segment(dataclasses.replace(config, resume=number > 0))
    segment(dataclasses.replace(config, resume=True))
    assert metrics_of(config) == metrics_of(trained.config)
    assert drawings_in(config.folder) == drawings_in(trained.config.folder)


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
    # The run holds all of its weights.
    record["settings"]["weights"] = "/missing.pth"
    RunFolder(config.folder).write_config(record)
    assert jaxcolor.load(config.folder).predict(np.zeros((48, 64, 3), np.uint8)).shape == (48, 64)


def test_the_backbone_has_a_rate_and_the_gradient_a_length_of_its_own(config: SegmentConfig) -> None:
    config = dataclasses.replace(config, train="all", clip=1.0, backbone_rate=0.5)
    params = {"backbone": {"kernel": jnp.full(4, 3.0)}, "head": {"kernel": jnp.full(4, 4.0)}}
    optimizer = build_optimizer(config, 0.1)
    # Adam's first step moves every parameter by the learning rate, whatever the gradient's length.
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    np.testing.assert_allclose(updates["head"]["kernel"], -0.1, rtol=1e-4)
    np.testing.assert_allclose(updates["backbone"]["kernel"], -0.05, rtol=1e-4)
    # The gradient is 10 long, and its trainable part 8; Adam keeps a tenth of what it gets.
    for trainable, length in ((TRAINABLE["all"], 10), (TRAINABLE["head"], 8)):
        clipping = masked(build_optimizer(dataclasses.replace(config, backbone_rate=1.0), 0.1), trainable)
        _, state = clipping.update(params, clipping.init(params), params)
        (mean,) = (leaf for path, leaf in jax.tree.leaves_with_path(state) if is_mean_of_head(path))
        np.testing.assert_allclose(mean, 0.1 * 4 / length, rtol=1e-4)


def is_mean_of_head(path: Any) -> bool:
    text = jax.tree_util.keystr(path)
    return ".mu" in text and "'head'" in text


def test_crops_without_flips_and_with_a_constant_rate(
    config: SegmentConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    config = dataclasses.replace(
        config, crop=32, image_size=(), flip=False, schedule="constant", class_weights="none", epochs=1
    )
    segment(config)
    before, after = metrics_of(config)
    assert np.isfinite(after["train_loss"])
    assert after["val_loss"] != before["val_loss"]
    assert RunFolder(config.folder).read_config()["class_weights"] == [1, 1, 1]
    # Crops differ from epoch to epoch, so that their features cannot be cached.
    assert "Computing the frozen features" not in capsys.readouterr().out


def test_a_last_layer_needs_a_pretrained_head(config: SegmentConfig) -> None:
    with pytest.raises(UserError, match="has no weights for --head deeplabv3"):
        segment(dataclasses.replace(config, train="last"))


@pytest.mark.parametrize("views", [{"tta": True}, {"window": 32}])
def test_evaluate_scores_several_views(
    config: SegmentConfig, trained: Trained, tmp_path: Path, views: dict[str, Any]
) -> None:
    config = trained.copy(tmp_path)
    metrics = segment(dataclasses.replace(config, evaluate=True, checkpoint="latest", **views))
    assert metrics is not None
    assert "val_loss" not in metrics
    model = jaxcolor.load(config.folder, "latest")
    data = build_job(config, RunFolder(config.folder), None).data
    examples = (data.validation[index] for index in range(len(data.validation)))
    confusions = [
        count_confusion(truth, np.asarray(model.predict(image, **views)), len(data.classes))
        for _, image, truth in examples
    ]
    confusion = np.sum(confusions, axis=0)
    assert metrics["mean_iou"] == pytest.approx(scores(confusion).mean_iou, rel=1e-6)
    written = json.loads((config.folder / "scores.json").read_text())
    assert written["mean_iou"] == metrics["mean_iou"]


def test_evaluate_repeats_the_validation(config: SegmentConfig, trained: Trained) -> None:
    before = files_in(trained.config.folder)
    evaluated = segment(dataclasses.replace(trained.config, evaluate=True, checkpoint="latest"))
    assert evaluated is not None
    assert evaluated == {name: trained.metrics[name] for name in evaluated}
    assert files_in(trained.config.folder) == before  # the same scores are written again


def test_evaluate_writes_the_scores_of_its_checkpoint(
    tiny: str,
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(loader_module, "cache_folder", lambda: trained.cache)
    config = trained.copy(tmp_path / "runs")
    run = RunFolder(config.folder)
    for name in ("scores.json", "scores.csv"):
        (config.folder / name).unlink()
    # A third epoch with a higher loss.
    run.log(run.read_metrics()[-1] | {"epoch": 3, "val_loss": 9.0})
    evaluated = segment(dataclasses.replace(config, evaluate=True))
    assert evaluated is not None
    assert evaluated["val_loss"] == trained.metrics["val_loss"]
    found = json.loads((config.folder / "scores.json").read_text())
    assert (found["epoch"], found["val_loss"]) == (2, trained.metrics["val_loss"])
    assert (config.folder / "scores.csv").is_file()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2] == "These scores are those after epoch 2 of 3, the lowest validation loss."
    assert lines[-1].startswith("final: val_loss=")
    job = build_job(dataclasses.replace(config, evaluate=True), run, run)
    job.show(job.initial_state, job.evaluate(job.initial_state), epoch=3)
    line = capsys.readouterr().out.splitlines()[-2]
    assert line.startswith("Lowest validation loss after epoch 2 of 3: the checkpoint 'best' holds it")


def test_scores_of_the_sample_say_what_they_are(
    many_sizes: SegmentJob, trained: Trained, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    job = copy.copy(many_sizes)
    job.run = RunFolder(trained.copy(tmp_path).folder)
    evaluation = job.evaluate(job.initial_state)
    job.show(job.initial_state, evaluation, epoch=2)
    assert job_module.ABOUT_SAMPLE not in capsys.readouterr().out
    job.config = dataclasses.replace(job.config, dataset="sample", voc_dir=None, classes=None)
    job.show(job.initial_state, evaluation, epoch=2)
    assert job_module.ABOUT_SAMPLE in capsys.readouterr().out


def test_a_run_starts_from_the_weights_of_another(
    config: SegmentConfig, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = dataclasses.replace(
        config, runs_dir=trained.config.runs_dir, name="other", init_from=Path(trained.config.folder.name),
        checkpoint="latest",
    )  # fmt: skip
    kill_at(monkeypatch, SegmentJob, "train_epoch", 1)
    with pytest.raises(Killed):
        segment(other)
    assert metrics_of(other)[0]["val_loss"] == pytest.approx(trained.metrics["val_loss"], rel=1e-6)


@pytest.fixture(scope="module")
def many_sizes(tiny: str, trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> SegmentJob:
    """A job on images of five sizes, for training and for validation. The label map of "b" is void."""
    folder = tmp_path_factory.mktemp("many")
    sizes = {name: (40 + i, 70 - i) for i, name in enumerate("abcde")}
    voc = write_voc(folder, sizes)
    root = voc / "VOCdevkit/VOC2012"
    (root / "ImageSets/Segmentation/val.txt").write_text("a\nb\nc\nd\ne\n")
    Image.new("L", sizes["b"][::-1], VOID).save(root / "SegmentationClass/b.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader_module, "cache_folder", lambda: folder / "cache")
        return build(dataclasses.replace(trained.config, voc_dir=voc, runs_dir=folder / "runs"))


def test_evaluation_scores_label_maps_at_their_own_size(many_sizes: SegmentJob) -> None:
    job = many_sizes
    assert job.loader.splits["validation"].sizes == [(64, 96)] * 2 + [(64, 64)] * 3
    evaluation = job.evaluate(job.initial_state)
    apply = jax.jit(job.initial_state.apply_fn)
    losses, confusions = [], []
    for index, size in enumerate(job.loader.splits["validation"].sizes):
        _, image, label_map = job.data.validation[index]
        resized = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
        logits = apply(job.initial_state.variables, normalize(jnp.asarray(resized[None])))
        large = jax.image.resize(logits, (1, *label_map.shape, 3), "bilinear", antialias=False)[0]
        counted = label_map != VOID
        truth, large = label_map[counted], large[counted]
        losses.append(optax.softmax_cross_entropy_with_integer_labels(large, truth))
        confusions.append(np.zeros((3, 3)))
        np.add.at(confusions[-1], (truth, large.argmax(-1)), 1)
    np.testing.assert_array_equal(evaluation.details.confusion, sum(confusions))
    assert evaluation.metrics["val_loss"] == pytest.approx(np.concatenate(losses).mean(), rel=1e-5)
    expected = scores(sum(confusions, np.zeros((3, 3))))
    assert evaluation.metrics["mean_iou"] == expected.mean_iou
    assert evaluation.metrics["mean_accuracy"] == expected.mean_accuracy
    assert evaluation.metrics["pixel_accuracy"] == expected.pixel_accuracy
    of_images = [scores(one).mean_iou if one.any() else np.nan for one in confusions]
    np.testing.assert_array_equal(evaluation.details.mean_ious, of_images)
    assert [found is None for found in evaluation.details.image_scores] == [i == 1 for i in range(5)]
    np.testing.assert_array_equal(evaluation.details.image_scores[4].iou, scores(confusions[4]).iou)


def test_samples_are_drawn_with_their_scores(many_sizes: SegmentJob, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(job_module, "draw_predictions", lambda *arguments: drawn.append(arguments))
    state = many_sizes.initial_state
    many_sizes._predictions(state, 7, np.array([0.25, np.nan, 0.75, 0.5, 0.125]))()
    ((path, title, panels, classes),) = drawn
    assert path.name == "validation-epoch-007.png"
    assert title == "segment-tiny: validation images, after epoch 7"
    assert classes == ("class 0", "class 1", "class 2")
    assert [panel.label for panel in panels] == [
        "a\nmean IoU 25 %", "c\nmean IoU 75 %", "e\nmean IoU 12 %", "best: d\nmean IoU 50 %"
    ]  # fmt: skip
    for panel, index in zip(panels, (0, 2, 4, 3), strict=True):
        assert isinstance(panel, Panel)
        _, image, label_map = many_sizes.data.validation[index]
        np.testing.assert_array_equal(panel.image, image)
        np.testing.assert_array_equal(panel.truth, label_map)
        assert panel.prediction.shape == label_map.shape


def test_drawings_come_every_few_epochs_and_at_the_end(
    many_sizes: SegmentJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many_sizes, "_predictions", lambda state, epoch, image_scores: partial(int, epoch))
    evaluation = Evaluation({}, job_module.Details(np.zeros((3, 3)), [None] * 5))
    drawings = [
        many_sizes.draw(many_sizes.initial_state, epoch, [], evaluation, last=epoch == 12)
        for epoch in range(1, 13)
    ]
    assert [[draw() for draw in drawn] for _, *drawn in drawings if drawn] == [[5], [10], [12]]


def test_a_frozen_part_that_changed_is_an_error(many_sizes: SegmentJob) -> None:
    state = many_sizes.initial_state
    kernel = state.params["backbone"]["last"]["kernel"]
    moved = state.params["backbone"]["last"] | {"kernel": kernel.at[0, 0, 0, 0].add(1e-6)}
    params = state.params | {"backbone": state.params["backbone"] | {"last": moved}}
    with pytest.raises(UserError, match="the frozen part has changed during training"):
        many_sizes.finish(state.replace(params=params), Evaluation({}))


def rates(optimizer: optax.GradientTransformation, params: Any, steps: int) -> list[float]:
    """Return the sizes of an optimizer's steps. Adam divides a constant gradient by itself."""
    state = optimizer.init(params)
    gradients = jax.tree.map(lambda leaf: jnp.full_like(leaf, 100), params)
    update = jax.jit(optimizer.update)
    found = []
    for _ in range(steps):
        updates, state = update(gradients, state, params)
        found.append(-float(updates["head"]["classifier"]["bias"][0]))
    return found


def test_the_learning_rate_decreases_as_a_polynomial_over_all_steps_of_a_run(many_sizes: SegmentJob) -> None:
    # Two epochs of three batches: one with the two images of one size, two with the three of the other.
    assert many_sizes.loader.steps() == 3
    found = rates(many_sizes.initial_state.tx, many_sizes.initial_state.params, 6)
    assert found == pytest.approx([0.02 * factor for factor in POLY], abs=1e-6)


def test_predict_writes_masks_and_overlays(
    config: SegmentConfig, trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = trained.copy(tmp_path / "runs")
    assert config.voc_dir
    large = tmp_path / "large.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (71, 95, 3)).astype(np.uint8)).save(large)
    jpg = config.voc_dir / "VOCdevkit/VOC2012/JPEGImages/x.jpg"
    segment(dataclasses.replace(config, predict=(large, jpg)))
    folder = config.folder / "predictions"
    for name, size in (("large", (95, 71)), ("x", (64, 48))):
        with Image.open(folder / f"{name}-mask.png") as mask:
            assert mask.mode == "P"
            assert mask.size == size
            assert np.asarray(mask).max() <= 2
        with Image.open(folder / f"{name}-overlay.png") as overlay:
            assert overlay.size == size
    assert "large-mask.png" in capsys.readouterr().out
    (tmp_path / "text.jpg").write_text("no image")
    with pytest.raises(UserError, match=r"1 of 2 images has no prediction: .*text.jpg is broken"):
        segment(dataclasses.replace(config, predict=(jpg, tmp_path / "text.jpg")))
    with pytest.raises(UserError, match="two images are named x.jpg"):
        segment(dataclasses.replace(config, predict=(jpg, tmp_path / "x.jpg")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"voc_dir": Path("missing")}, r"cannot read the folder .*missing: it does not exist"),
        ({"classes": "2"}, "has label 2, but there are 2 classes"),
        ({"weights": Path("missing.pth")}, "cannot read .*missing.pth: No such file"),
        ({"weights": Path(__file__)}, "test_job.py as weights of PyTorch"),
        ({"backbone": "resnet50", "weights": None}, "cannot download .*deeplabv3_resnet50"),
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
def test_a_broken_file_is_named_before_a_run_is_replaced(
    config: SegmentConfig, trained: Trained, split: str, tmp_path: Path
) -> None:
    config = dataclasses.replace(trained.copy(tmp_path / "runs"), voc_dir=write_voc(tmp_path / "voc"))
    before = files_in(config.folder)
    name = NAMES[split][1]
    broken = tmp_path / f"voc/VOCdevkit/VOC2012/JPEGImages/{name}.jpg"
    broken.write_bytes(broken.read_bytes()[:-99])
    with pytest.raises(UserError, match=f"{name}.jpg is broken"):
        segment(dataclasses.replace(config, overwrite=True, class_weights="none"))
    assert files_in(config.folder) == before


def test_a_checkpoint_of_pytorch_starts_the_same_run(
    config: SegmentConfig, trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = {f"module.{key}": array for key, array in tiny_backbone.weights(seed=2).items()}
    beside = {"epoch": 3, "args": Fake("argparse", "Namespace", 1)}
    checkpoint = write_weights(tmp_path / "checkpoint.pth", weights, "model", beside)
    segment(dataclasses.replace(config, weights=checkpoint))
    assert (
        "checkpoint.pth: the weights under 'model', without the prefix 'module.'; backbone: pretrained, "
        "head: new, classifier: new\n"
    ) in capsys.readouterr().out
    record = RunFolder(config.folder).read_config()["weights"]
    assert (record["entry"], record["prefix"]) == ("model", "module.")
    assert metrics_of(config) == metrics_of(trained.config)


def test_a_run_keeps_its_frozen_weights(config: SegmentConfig, trained: Trained, tmp_path: Path) -> None:
    other = write_weights(tmp_path / "other.pth", tiny_backbone.weights(seed=1))
    changed = dataclasses.replace(trained.config, weights=other)
    for asked in (dataclasses.replace(changed, evaluate=True), dataclasses.replace(changed, resume=True)):
        with pytest.raises(UserError, match="trained on other weights than other.pth: give the file own.pth"):
            segment(asked)


def test_resume_refuses_other_settings(config: SegmentConfig, trained: Trained) -> None:
    for change, message in (
        ({"learning_rate": 0.1}, "was started with --learning-rate 0.02, not 0.1"),
        ({"epochs": 3}, "was planned for 2 epochs"),
        ({"output_stride": 8}, "was started with --output-stride 16, not 8"),
    ):
        with pytest.raises(UserError, match=message):
            segment(dataclasses.replace(trained.config, resume=True, **change))


def test_the_label_of_the_curves_names_both_losses() -> None:
    assert loss_label(["cross-entropy"]) == "loss (cross-entropy)"
    assert loss_label(["dice", "focal"]) == "loss (dice + focal; validation: cross-entropy)"


def test_samples_are_spread_best_and_worst_without_repetition() -> None:
    scores = np.asarray([0.5, 0.9, np.nan, 0.1, 0.6, 0.8, 0.2, 0.7, 0.3, 0.4])
    assert choose_samples(scores) == {"": [0, 5, 9], "best: ": [1, 7, 4], "worst: ": [3, 6, 8]}
    assert choose_samples(np.asarray([0.5, np.nan])) == {"": [0], "best: ": [], "worst: ": []}
    assert choose_samples(np.asarray([0.5, 0.1, 0.9, 0.7])) == {"": [0, 1, 3], "best: ": [2], "worst: ": []}
    assert choose_samples(np.asarray([np.nan])) == {"": [], "best: ": [], "worst: ": []}


@pytest.mark.parametrize("count", [1, 3, 5, 9, 10, 30])
def test_no_sample_is_drawn_twice(count: int) -> None:
    scores = np.random.default_rng(count).permutation(count) / count
    chosen = choose_samples(scores)
    indices = [index for kind in chosen.values() for index in kind]
    assert len(set(indices)) == len(indices) == min(count, 9)
    rest = sorted(set(range(count)) - set(chosen[""]), key=lambda index: scores[index])
    assert chosen["best: "] == rest[::-1][:3]
    assert chosen["worst: "] == rest[: min(3, max(len(rest) - 3, 0))]


def test_defaults_depend_on_the_backbone_and_the_data() -> None:
    sample = load_dataset(SegmentConfig(dataset="sample"))
    voc = dataclasses.replace(sample, classes=VOC_CLASSES, facts={"name": "voc"})
    mine = dataclasses.replace(sample, classes=("sky", "road"))

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
    assert resolved(sample).class_weights == "none"
    assert resolved(mine).class_weights == "sqrt"
    assert resolved(mine, loss=("focal", "dice")).class_weights == "sqrt"
    assert resolved(mine, loss=("dice", "soft-iou")).class_weights == "none"


@pytest.mark.slow
def test_efficientnet_trains_and_predicts(config: SegmentConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SegmentJob, "_predictions", lambda *_: lambda: None)
    whole = dataclasses.replace(
        config, backbone="efficientnet-lite0", weights=None, epochs=1, learning_rate=1e-3
    )
    segment(whole)
    before, after = metrics_of(whole)
    assert after["val_loss"] < before["val_loss"]
    assert jaxcolor.load(whole.folder).predict(np.zeros((48, 64, 3), np.uint8)).shape == (48, 64)


def test_more_images_per_step_than_there_are_is_a_warning(
    config: SegmentConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    segment(dataclasses.replace(config, epochs=1, batch_size=6, cache=False))
    line = "warning: --batch-size 6 is above the number of training images: a step takes all 5"
    assert line in capsys.readouterr().err.splitlines()
