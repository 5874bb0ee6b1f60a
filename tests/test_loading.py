"""`jaxcolor.load` and `--predict` on a colorization run."""

import dataclasses
import errno
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import jaxcolor
from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.colorization.job import build_job, colorize
from jaxcolor.colorization.predictor import Colorizer
from jaxcolor.errors import UserError
from jaxcolor.painting import gray_of, with_lightness
from jaxcolor.training.run import load_run
from jaxcolor.training.run_folder import RunFolder


@pytest.fixture(scope="module")
def config(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> ColorizeConfig:
    """A trained run. Its first epoch is better than its second."""
    folder = tmp_path_factory.mktemp("loading")
    config = ColorizeConfig(
        filters=4, colors=6, epochs=2, batch_size=16, learning_rate=1e-2, archive=archive,
        data_dir=folder / "data", runs_dir=folder / "runs",
    )  # fmt: skip
    colorize(config)
    return config


@pytest.mark.parametrize("checkpoint", ["best", "latest"])
def test_a_loaded_network_predicts_as_its_job(config: ColorizeConfig, checkpoint: str) -> None:
    asked = dataclasses.replace(config, evaluate=True, checkpoint=checkpoint)  # type: ignore[arg-type]
    job, state, _ = load_run(asked, build_job)
    labels = job.predict_labels(state, np.asarray(job.arrays["validation"]["inputs"]))  # type: ignore[attr-defined]
    images = job.truth["validation"].images  # type: ignore[attr-defined]
    palette = np.load(config.folder / "palette.npy")
    colored = jaxcolor.load(str(config.folder), checkpoint).predict(images)  # type: ignore[arg-type]
    np.testing.assert_array_equal(colored, np.round(palette * 256).astype(np.uint8)[labels])


def test_only_the_run_folder_is_read(config: ColorizeConfig, tmp_path: Path) -> None:
    shutil.copytree(config.folder, tmp_path / "moved")
    script = f"""
import time, jax, numpy as np
start = time.perf_counter()
import jaxcolor
model = jaxcolor.load({str(tmp_path / "moved")!r})
seconds = time.perf_counter() - start
import sys
assert "tensorflow_datasets" not in sys.modules
colored = model.predict(np.zeros((32, 32, 3), np.uint8))
assert colored.shape == (32, 32, 3)
print(seconds)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 6  # under 2 s on two free cores


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: shutil.rmtree(run / "checkpoints"), "holds no checkpoint"),
        (lambda run: (run / "palette.npy").unlink(), "cannot read the palette"),
        (lambda run: (run / "config.json").unlink(), "there is no run in"),
        (lambda run: (run / "config.json").write_text("{"), "config.json is damaged"),
    ],
)
def test_a_damaged_run_is_one_line(
    config: ColorizeConfig, tmp_path: Path, damage: object, message: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(config.folder, run)
    damage(run)  # type: ignore[operator]
    with pytest.raises(UserError, match=message) as error:
        jaxcolor.load(run)
    assert "\n" not in str(error.value)


def test_a_network_that_is_not_in_the_table_is_named(config: ColorizeConfig, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(config.folder, run)
    record = RunFolder(run).read_config()
    record["settings"]["model"] = "residual-unet"
    RunFolder(run).write_config(record)
    with pytest.raises(UserError, match="the file that adds a network of your own .* must be imported first"):
        jaxcolor.load(run)


def test_the_run_of_another_program_is_refused(tmp_path: Path) -> None:
    RunFolder(tmp_path / "run").create({"task": "analyze", "settings": {}})
    with pytest.raises(UserError, match=r"is the run of another program \(analyze\)"):
        jaxcolor.load(tmp_path / "run")


def test_predict_writes_an_image_per_file_and_reports_broken_ones_at_the_end(
    config: ColorizeConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (2, 20, 33, 3), np.uint8)
    long = "d" * 250  # the name of its prediction, and that of a temporary file, would be too long
    for name, image in zip(("a.png", "c.jpg", f"{long}.jpg"), [*images, images[0]], strict=True):
        Image.fromarray(image).save(folder / name)
    (folder / "b.png").write_text("broken")
    (folder / "notes.txt").write_text("no image")
    with pytest.raises(UserError, match=r"1 of 4 images has no prediction: .*b\.png is broken"):
        colorize(dataclasses.replace(config, predict=(folder,)))
    written = config.folder / "predictions"
    assert sorted(path.name[:9] for path in written.iterdir()) == ["a.png", "c.jpg", "ddddddddd"]
    found = np.asarray(Image.open(written / "a.png"))
    palette_colors = jaxcolor.load(config.folder).predict(images[0])
    np.testing.assert_array_equal(found, with_lightness(gray_of(images[0]), palette_colors))
    in_palette = dataclasses.replace(config, predict=(folder / "a.png",), keep_lightness=False, out=tmp_path)
    colorize(in_palette)
    np.testing.assert_array_equal(Image.open(tmp_path / "a.png"), palette_colors)
    line = f"{folder / 'a.png'}: has colors, which are replaced: {written / 'a.png'}"
    assert capsys.readouterr().out.splitlines()[0] == line


def test_a_run_may_be_in_the_home_folder(
    config: ColorizeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copytree(config.folder, tmp_path / "run")
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    model = jaxcolor.load("~/run")
    model.predict("~/a.png").save("~/b.png")
    assert (tmp_path / "b.png").is_file()
    with pytest.raises(UserError, match="cannot expand ~no-such-user/run: there is no such user"):
        jaxcolor.load("~no-such-user/run")


def test_an_image_that_needs_too_much_memory_does_not_stop_the_others(
    config: ColorizeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, side in (("a", 64), ("b", 32)):
        Image.new("RGB", (side, side)).save(tmp_path / f"{name}.png")
    color = Colorizer.color

    def color_small(self: Colorizer, image: np.ndarray, keep_lightness: bool) -> object:
        if len(image) > 32:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes")
        return color(self, image, keep_lightness)

    monkeypatch.setattr(Colorizer, "color", color_small)
    with pytest.raises(UserError) as error:
        colorize(dataclasses.replace(config, predict=(tmp_path,), name=config.folder.name))
    assert str(error.value) == (
        f"1 of 2 images has no prediction: too little memory: {tmp_path / 'a.png'} is too large: "
        "give a smaller image"
    )
    assert (config.folder / "predictions" / "b.png").is_file()


def test_a_prediction_that_cannot_be_written_does_not_stop_the_others(
    config: ColorizeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(config.folder, tmp_path / "runs/copy")
    paths = tuple(tmp_path / f"{name}.png" for name in "ab")
    for path in paths:
        Image.new("RGB", (32, 32)).save(path)
    config = dataclasses.replace(config, runs_dir=tmp_path / "runs", name="copy", predict=paths)
    shutil.rmtree(config.folder / "predictions", ignore_errors=True)
    (config.folder / "predictions/a.png").mkdir(parents=True)
    with pytest.raises(UserError, match=r"1 of 2 images has no prediction: cannot write the .*a\.png: Is a"):
        colorize(config)
    assert (config.folder / "predictions/b.png").is_file()
    with pytest.raises(UserError, match=r"^cannot write the prediction of .*a\.png: Is a directory$"):
        colorize(dataclasses.replace(config, predict=paths[:1]))

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space left"):
        colorize(config)


def test_two_files_of_one_name_and_empty_folders_are_refused(config: ColorizeConfig, tmp_path: Path) -> None:
    for folder in ("one", "two", "empty"):
        (tmp_path / folder).mkdir()
    for path in ("one/a.png", "two/a.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / path)
    with pytest.raises(UserError, match="two images are named a.png"):
        colorize(dataclasses.replace(config, predict=(tmp_path / "one/a.png", tmp_path / "two/a.png")))
    with pytest.raises(UserError, match="empty holds no image files"):
        colorize(dataclasses.replace(config, predict=(tmp_path / "empty",)))
    assert jax.devices()
