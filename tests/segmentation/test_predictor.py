"""`jaxcolor.load` and `--predict` on a segmentation run."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny_backbone
from PIL import Image
from pth_files import write_weights
from trained_segmenter import Trained

import jaxcolor
from jaxcolor.data.image_files import read_image
from jaxcolor.errors import UserError
from jaxcolor.images import LabelMap
from jaxcolor.models.segmentation import DeepLabV3
from jaxcolor.pretrained.imagenet import normalize
from jaxcolor.segmentation import loader as loader_module
from jaxcolor.segmentation.job import build_job
from jaxcolor.segmentation.predictor import LabelPredictor, Segmenter, prediction_size
from jaxcolor.training.checkpoints import Checkpoints
from jaxcolor.training.run import load_run
from jaxcolor.training.run_folder import RunFolder
from jaxcolor.training.state import create_state

CLASSES = ("class 0", "class 1", "class 2")


def change_record(run: Path, **settings: Any) -> None:
    """Change settings in the config.json of a run."""
    record = RunFolder(run).read_config()
    record["settings"] |= settings
    RunFolder(run).write_config(record)


def random_image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_a_loaded_network_predicts_as_its_job_without_the_data(
    tiny: str, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader_module, "cache_folder", lambda: trained.cache)
    config = trained.copy(tmp_path)
    assert config.voc_dir
    path = config.voc_dir / "VOCdevkit/VOC2012/JPEGImages/x.jpg"
    image = np.asarray(Image.open(path))
    asked = dataclasses.replace(config, evaluate=True, checkpoint="latest")
    job, state, epoch = load_run(asked, build_job)
    assert epoch == 2
    expected = job._label(state, image, (48, 64))  # type: ignore[attr-defined]
    assert len(np.unique(expected)) > 1

    change_record(config.folder, voc_dir="/missing")
    model = jaxcolor.load(config.folder, "latest")
    assert isinstance(model, Segmenter)
    found = model.predict(image)
    assert isinstance(found, LabelMap)
    assert found.classes == CLASSES
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(model.predict(path), expected)
    both = model.predict(np.stack([image, image[:, ::-1]]))
    assert both.classes == CLASSES
    np.testing.assert_array_equal(both[0], expected)
    np.testing.assert_array_equal(both[1], model.predict(image[:, ::-1]))
    # The network sees at least 32 pixels per side.
    assert model.predict(image[:1, :5]).shape == (1, 5)


def test_best_and_latest_are_different_checkpoints(tiny: str, trained: Trained, tmp_path: Path) -> None:
    config = trained.copy(tmp_path)
    job, state, _ = load_run(dataclasses.replace(config, evaluate=True), build_job)
    classifier = state.params["head"]["classifier"] | {"bias": jnp.asarray([0.0, 0.0, 1e6])}
    head = state.params["head"] | {"classifier": classifier}
    with Checkpoints(config.folder / "checkpoints", job.trainable) as checkpoints:
        checkpoints.save(3, state.replace(params=state.params | {"head": head}), value=99.0)
    image = random_image(48, 64)
    assert np.all(jaxcolor.load(config.folder, "latest").predict(image) == 2)
    assert not np.all(jaxcolor.load(config.folder).predict(image) == 2)


def test_frozen_weights_must_be_those_of_the_training(tiny: str, trained: Trained, tmp_path: Path) -> None:
    config = trained.copy(tmp_path / "runs")
    other = write_weights(tmp_path / "own.pth", tiny_backbone.weights(seed=3))
    for weights in (str(other), None):
        change_record(config.folder, weights=weights)
        with pytest.raises(UserError, match="on other weights than .*.pth: give the file own.pth"):
            jaxcolor.load(config.folder)
    # A copy with the same contents is the same file.
    assert config.weights
    other.write_bytes(config.weights.read_bytes())
    change_record(config.folder, weights=str(other))
    jaxcolor.load(config.folder)


def test_labels_are_the_largest_logits_at_the_size_of_the_image(tiny: str) -> None:
    model = DeepLabV3(tiny, 3, 16)
    variables: Any = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 64, 96, 3)))
    state = create_state(model.apply, variables, optax.identity())
    image = random_image(50, 70)
    found = LabelPredictor(model)(state, image, (64, 96))
    assert found.dtype == np.uint8
    resized = np.asarray(Image.fromarray(image).resize((96, 64), Image.Resampling.BILINEAR))
    logits: Any = jax.jit(model.apply)(variables, normalize(jnp.asarray(resized[None])))
    large = jax.image.resize(logits, (1, 50, 70, 3), "bilinear", antialias=False)
    np.testing.assert_array_equal(found, large[0].argmax(-1))
    assert len(np.unique(found)) > 1


def make_predictor(tiny: str) -> tuple[LabelPredictor, Any]:
    model = DeepLabV3(tiny, 3, 16)
    variables: Any = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 64, 96, 3)))
    return LabelPredictor(model), create_state(model.apply, variables, optax.identity())


def test_tta_averages_the_probabilities_of_scales_and_mirror_images(tiny: str) -> None:
    predictor, state = make_predictor(tiny)
    image = random_image(48, 64)
    total = np.zeros((48, 64, 3))
    for height, width in ((36, 48), (48, 64), (60, 80)):
        for mirror in (False, True):
            seen = image[:, ::-1] if mirror else image
            resized = np.asarray(Image.fromarray(seen).resize((width, height), Image.Resampling.BILINEAR))
            logits = state.apply_fn(state.variables, normalize(jnp.asarray(resized[None])))
            large = jax.image.resize(logits, (1, 48, 64, 3), "bilinear", antialias=False)
            found = np.asarray(jax.nn.softmax(large))[0]
            total += found[:, ::-1] if mirror else found
    labels = predictor(state, image, (48, 64), tta=True)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, total.argmax(-1))
    assert (labels != predictor(state, image, (48, 64))).any()
    mirrored = predictor(state, np.ascontiguousarray(image[:, ::-1]), (48, 64), tta=True)
    np.testing.assert_array_equal(mirrored[:, ::-1], labels)


@pytest.mark.parametrize("scale", [1, 2])
def test_windows_are_predicted_one_by_one_and_put_together(tiny: str, scale: int) -> None:
    predictor, state = make_predictor(tiny)
    image = random_image(40, 100)
    found = predictor(state, image, (scale * 40, scale * 100), window=64)
    # The rows are one window; the columns are two, which overlap by 28 and are cut in the middle.
    size = (scale * 40, scale * 64)
    left, right = (predictor(state, image[:, part], size) for part in (slice(0, 64), slice(36, 100)))
    np.testing.assert_array_equal(found, np.concatenate([left[:, :50], right[:, 14:]], axis=1))


def test_a_window_needs_32_pixels(tiny: str) -> None:
    segmenter = Segmenter(DeepLabV3(tiny, 2, 16), {"params": {}}, ("a", "b"), ())
    with pytest.raises(ValueError, match="window must be at least 32, not 31"):
        segmenter.predict(random_image(50, 70), window=31)


@pytest.mark.parametrize(
    ("image_size", "shape", "seen"),
    [
        ((48,), (50, 70), (48, 67)),
        ((48, 80), (50, 70), (48, 80)),
        ((), (50, 70), (50, 70)),
        ((), (20, 70), (32, 70)),
    ],
)
def test_the_network_sees_images_at_the_size_of_the_settings(
    tiny: str, image_size: tuple, shape: tuple, seen: tuple
) -> None:
    segmenter = Segmenter(DeepLabV3(tiny, 2, 16), {"params": {}}, ("a", "b"), image_size)
    sizes = []

    def label(state: Any, image: np.ndarray, size: tuple[int, int], *views: Any) -> np.ndarray:
        sizes.append(size)
        return np.zeros(image.shape[:2], np.uint8)

    segmenter._label = label  # type: ignore[assignment]
    assert segmenter.predict(random_image(*shape)).shape == shape
    assert sizes == [seen]


def test_a_prediction_names_its_largest_classes(tiny: str, tmp_path: Path) -> None:
    segmenter = Segmenter(DeepLabV3(tiny, 3, 16), {"params": {}}, ("sky", "cat", "dog"), ())
    labels = np.repeat(np.array([[2, 0, 2, 2]], np.uint8), 32, axis=0).repeat(8, axis=1)
    segmenter._label = lambda *arguments: labels  # type: ignore[assignment]
    Image.fromarray(random_image(32, 32)).save(tmp_path / "a.png")
    paths, note = segmenter.predict_file(tmp_path / "a.png", tmp_path / "out" / "a")
    assert note == "dog 75 %, sky 25 %; "
    assert paths == [tmp_path / "out" / "a-mask.png", tmp_path / "out" / "a-overlay.png"]
    np.testing.assert_array_equal(Image.open(paths[0]), labels)
    assert read_image(paths[1]).shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("size", "resize", "expected"),
    [
        ((375, 500), (520,), (520, 693)),
        ((375, 500), (), (375, 500)),
        ((375, 500), (64, 96), (64, 96)),
        ((4000, 3000), (), (4000, 3000)),
        ((1, 1), (520,), (520, 520)),
        ((3, 4), (), (32, 32)),
        ((1, 5000), (520,), (32, 141421)),  # 28 rows would be 4 million pixels
        ((5000, 1), (520,), (141421, 32)),
        ((1000, 12000), (520,), (520, 6240)),
    ],
)
def test_images_of_any_size_are_predicted_at_a_bounded_size(
    size: tuple[int, int], resize: tuple[int, ...], expected: tuple[int, int]
) -> None:
    assert prediction_size(size, resize) == expected
