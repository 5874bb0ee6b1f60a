"""A whole run on few small images, with a shorter backbone."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from photo_files import write_files
from PIL import Image

import jaxcolor
from jaxcolor.errors import UserError
from jaxcolor.painting import gray_of
from jaxcolor.photo import predictor
from jaxcolor.photo.config import SHIPPED, PhotoConfig
from jaxcolor.photo.job import PhotoJob, color_photos
from jaxcolor.photo.predictor import PhotoColorizer, load_variables
from jaxcolor.training.run_folder import RunFolder


class Killed(BaseException):
    pass


@pytest.mark.slow
@pytest.mark.usefixtures("short_backbone")
def test_train_resume_evaluate_and_predict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(predictor, "FEWEST", 64**2)  # pixels that the network sees of a small image
    place = write_files(tmp_path / "images")
    config = PhotoConfig(
        image_dir=place, crop=(32,), width=8, epochs=2, batch_size=8, runs_dir=tmp_path / "runs", plot_every=2
    )
    metrics = color_photos(config)
    assert metrics is not None
    assert metrics["val_loss"] < RunFolder(config.folder).read_metrics()[0]["val_loss"]
    out = capsys.readouterr().out
    assert "1 of 18 images are gray: they are left out" in out
    assert "12 train and 4 validation images" in out
    for name in ("curves.png", "scores.json", "samples/validation-epoch-002.png"):
        assert (config.folder / name).is_file()
    assert json.loads((config.folder / "scores.json").read_text())["psnr"] == metrics["psnr"]

    # A run that is killed after its first epoch resumes to the same numbers, and checks no file again.
    stopped = dataclasses.replace(config, name="stopped")

    def stop(*arguments: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(PhotoJob, "draw", stop)
        with pytest.raises(Killed):
            color_photos(stopped)
    (place / "train" / "broken.jpg").unlink()
    resumed = color_photos(dataclasses.replace(stopped, resume=True))
    assert resumed is not None
    for name in ("train_loss", "val_loss"):
        assert resumed[name] == metrics[name]
    again = color_photos(dataclasses.replace(config, evaluate=True, checkpoint="latest"))
    assert again is not None
    assert again.keys() >= {"val_loss", "psnr", "safe_psnr", "gray_psnr", "relative_chroma"}
    assert again == pytest.approx({name: metrics[name] for name in again}, rel=1e-6)
    (place / "train" / "new.png").write_bytes((place / "train" / "0" / "0.png").read_bytes())
    with pytest.raises(UserError, match="was started with other images"):
        color_photos(dataclasses.replace(config, resume=True, epochs=2))

    model = jaxcolor.load(config.folder)
    assert isinstance(model, PhotoColorizer)
    photograph = np.asarray(Image.open(place / "val" / "0.jpg").resize((70, 50)))
    colored = model.predict(photograph)
    assert (colored.shape, colored.dtype) == ((50, 70, 3), np.uint8)
    # Only the lightness of the image counts, and the result has it.
    gray = gray_of(photograph)
    assert np.abs(gray_of(np.asarray(colored)).astype(int) - gray).max() <= 2
    np.testing.assert_array_equal(model.predict(gray), colored)
    np.testing.assert_array_equal(model.predict(np.stack([gray, gray])[..., None])[1], colored)
    assert np.any(model.predict(gray, vividness=1.0) != colored)
    with pytest.raises(ValueError, match="vividness must be from 0 to 1, not 2"):
        model.predict(gray, vividness=2.0)

    for vividness in (0.5, 1.0):
        color_photos(dataclasses.replace(config, predict=(place / "val" / "0.jpg",), vividness=vividness))
        written = np.asarray(Image.open(config.folder / "predictions" / "0.jpg")).astype(int)
        assert np.abs(written - model.predict(place / "val" / "0.jpg", vividness)).mean() < 3  # a JPEG
    # The average over an image and its mirror image is the same for both.
    averaged = np.asarray(model.predict(gray, average=True)).astype(int)
    assert np.any(averaged != colored)
    mirrored = np.asarray(model.predict(gray[:, ::-1], average=True))
    assert np.abs(mirrored[:, ::-1] - averaged).max() <= 2

    # A run that trains more of the network starts from these weights; one that trains less does not.
    more = dataclasses.replace(config, name="more", train="upper", init_from=config.folder, epochs=1)
    first = color_photos(more)
    assert first is not None
    before = RunFolder(more.folder).read_metrics()[0]
    np.testing.assert_allclose(before["val_loss"], metrics["val_loss"], rtol=1e-5)
    assert first["val_loss"] != before["val_loss"]
    with pytest.raises(UserError, match="more trained parts than --train decoder: add --train upper"):
        color_photos(dataclasses.replace(config, name="less", init_from=more.folder))
    with pytest.raises(UserError, match="comes with jaxcolor holds another network: width 64, not 8"):
        color_photos(dataclasses.replace(config, name="less", init_from=SHIPPED))
    # The upper blocks have moved by a tenth of the decoder's learning rate, the lower ones not at all.
    before_weights, after_weights = (
        flatten_dict(load_variables(RunFolder(folder), "latest")["params"])
        for folder in (config.folder, more.folder)
    )
    moved: dict[str, float] = {"lower": 0, "upper": 0, "decoder": 0}
    for path, leaf in after_weights.items():
        block = path[1].removeprefix("block")
        is_upper = block.isdigit() and int(block) >= 5
        part = "decoder" if path[0] != "backbone" else "upper" if is_upper else "lower"
        moved[part] = max(moved[part], float(np.abs(leaf - before_weights[path]).max()))
    assert moved["lower"] == 0
    assert 0 < moved["upper"] < 0.3 * moved["decoder"]
