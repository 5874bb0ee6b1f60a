"""The network that comes with jaxcolor, as users get it."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

import jaxcolor
from jaxcolor import cli
from jaxcolor.data.photographs import load_photographs
from jaxcolor.errors import UserError
from jaxcolor.image_scores import colorfulness
from jaxcolor.painting import gray_of, lightness_of
from jaxcolor.photo.config import ShippedConfig
from jaxcolor.photo.predictor import PhotoColorizer
from jaxcolor.photo.shipped import FILE, load_shipped, use


@pytest.fixture(scope="module")
def model() -> PhotoColorizer:
    loaded = jaxcolor.load("photo")
    assert isinstance(loaded, PhotoColorizer)
    return loaded


def test_the_file_is_small_and_its_numbers_are_finite() -> None:
    assert files("jaxcolor.photo").joinpath(FILE).stat().st_size < 12 * 2**20  # type: ignore[attr-defined]
    shipped = load_shipped()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(shipped.variables))
    assert shipped.chroma.frequencies.sum() == pytest.approx(1, abs=1e-5)


def test_photographs_get_their_colors_back(model: PhotoColorizer) -> None:
    """Fur, skin, wood and a blossom are warm in the colored photograph, as they are in the original."""
    cat, coffee = load_photographs()[1:3]
    for image in (cat, coffee):
        small = np.asarray(Image.fromarray(image).resize((160, 120)))
        colored = np.asarray(model.predict(gray_of(small))).astype(float)
        assert colored[..., 0].mean() > colored[..., 2].mean() + 10  # more red than blue
        gray_error = np.square(gray_of(small)[..., None] - small.astype(float)).mean()
        assert np.square(colored - small).mean() < 0.8 * gray_error
        lightness = lightness_of(gray_of(np.asarray(model.predict(small))))
        np.testing.assert_allclose(lightness, lightness_of(gray_of(small)), atol=0.02)


def test_more_vividness_is_more_color(model: PhotoColorizer) -> None:
    images = [np.asarray(Image.fromarray(image).resize((160, 120))) for image in load_photographs()]
    safe, default, vivid = (
        np.mean([colorfulness(model.predict(image, dial)[None]) for image in images])
        for dial in (0.0, None, 1.0)
    )
    assert safe < default < vivid


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (3000, 2), (33, 31)])
def test_any_size_is_colored(model: PhotoColorizer, shape: tuple[int, int]) -> None:
    gray = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert model.predict(gray).shape == (*shape, 3)


def assert_close(colored: Any, expected: np.ndarray) -> None:
    """Two compilations of one program may differ in the last bit, and so in a level."""
    assert np.abs(np.asarray(colored).astype(int) - expected).max() <= 1


def test_the_command_colors_files_and_reports_a_broken_one(
    model: PhotoColorizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    gray = gray_of(np.asarray(Image.fromarray(load_photographs()[1]).resize((60, 40))))
    Image.fromarray(gray).save("grandma.png")
    Path("broken.jpg").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"1 of 2 images has no prediction: broken.jpg is broken"):
        cli.colorize(["--predict", "broken.jpg", "grandma.png"])
    assert capsys.readouterr().out == "grandma.png: colored/grandma.png\n"
    assert_close(Image.open("colored/grandma.png"), model.predict("grandma.png"))
    cli.colorize(["--predict", "grandma.png", "--out", "new/her.png", "--vividness", "0.1", "--average"])
    assert_close(Image.open("new/her.png"), model.predict(gray, 0.1, average=True))
    with pytest.raises(UserError, match="give images to color with --predict"):
        use(ShippedConfig())


def test_its_scores_stand_beside_the_baselines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index, image in enumerate(load_photographs()[1:3]):
        Image.fromarray(image).resize((64, 48)).save(tmp_path / f"{index}.png")
    cli.colorize(["--evaluate", "--image-dir", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"2 images of {tmp_path}:"
    psnr = {line[:33].strip(): float(line[33:40]) for line in lines[2:-1]}
    assert set(psnr) >= {"gray", "most likely chroma per lightness", "network, vividness 0"}
    assert psnr["network, vividness 0"] > psnr["gray"] + 0.5
