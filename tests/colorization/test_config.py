import dataclasses
import json
from pathlib import Path

import pytest

from jaxcolor.cli import given_value, parse
from jaxcolor.colorization.config import ColorizeConfig, defaults_of
from jaxcolor.errors import UserError
from jaxcolor.segmentation.config import SegmentConfig
from jaxcolor.training.run_folder import RunFolder


def test_defaults_are_those_of_the_reference() -> None:
    config = ColorizeConfig()
    assert (config.kernel_size, config.filters, config.colors) == (3, 32, 24)
    assert (config.learning_rate, config.batch_size, config.seed) == (1e-3, 100, 0)
    assert (config.category, config.shuffle, config.downsize_input) == ("horse", "once", False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "--batch-size must be at least 1, not 0"),
        ({"filters": -4}, "--filters must be at least 1"),
        ({"epochs": 0}, "--epochs must be at least 1"),
        ({"colors": 1}, "--colors must be 2 to 256"),
        ({"colors": 257}, "--colors must be 2 to 256"),
        ({"learning_rate": 0.0}, "--learning-rate must be above 0"),
        ({"learning_rate": float("nan")}, "--learning-rate must be above 0"),
        ({"weight_decay": -1.0}, "--weight-decay must be at least 0"),
        ({"weight_decay": 0.1}, "--weight-decay is for --optimizer adamw: add that, or leave it out"),
        ({"label_smoothing": 1.0}, "--label-smoothing must be from 0 to below 1"),
        ({"warm_up": -1}, "--warm-up must be at least 0"),
        ({"shift": -1}, "--shift must be at least 0"),
        ({"seed": -1}, "--seed must be 0 to"),
        ({"plot_every": 0}, "--plot-every must be at least 1"),
        ({"activations": -1}, "--activations must be 0 to"),
        ({"resume": True, "overwrite": True}, "exclude each other"),
        ({"evaluate": True, "resume": True}, "exclude each other"),
        ({"checkpoint": "latest"}, "--checkpoint is for --evaluate, --predict and --init-from"),
        ({"predict": (Path("a.png"),), "resume": True}, "--predict excludes --resume"),
        ({"kernel_size": 4}, "--kernel-size must be odd, not 4"),
        ({"dilation": 0}, "--dilation must be at least 1"),
        ({"dataset": "sample", "archive": Path("a")}, "--archive is for CIFAR-10"),
        ({"dataset": "sample", "category": "cat"}, "has no categories"),
        ({"name": "../elsewhere"}, "must be the name of a folder"),
        ({"name": "/tmp/elsewhere"}, "must be the name of a folder"),
        ({"name": "."}, "must be the name of a folder"),
        ({"name": ""}, "must be the name of a folder"),
    ],
)
def test_bad_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ColorizeConfig(**settings)


def test_the_sample_has_no_category() -> None:
    assert ColorizeConfig(dataset="sample").category == "all"
    assert ColorizeConfig(dataset="cifar10").category == "horse"


def test_settings_are_read_back_from_json() -> None:
    config = ColorizeConfig(model="dunet", dilation=4, archive=Path("/a/b.tar.gz"), runs_dir=Path("/runs"))
    assert ColorizeConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(UserError, match="unknown settings: depth"):
        ColorizeConfig.from_json({"depth": 3})


@pytest.fixture
def stored(tmp_path: Path) -> ColorizeConfig:
    """The settings of an existing run."""
    stored = ColorizeConfig(
        model="dunet", dilation=4, filters=8, epochs=3, overwrite=True, name="a", runs_dir=tmp_path / "runs"
    )
    RunFolder(stored.folder).create({"task": "colorize", "settings": stored.to_json()})
    return stored


def test_a_resumed_run_keeps_its_settings_unless_told_otherwise(stored: ColorizeConfig) -> None:
    arguments = ["--name", "a", "--runs-dir", str(stored.runs_dir)]
    config = parse(ColorizeConfig, [*arguments, "--epochs", "5", "--dilation", "4", "--resume"])
    assert (config.model, config.filters, config.epochs, config.dilation) == ("dunet", 8, 5, 4)
    assert (config.resume, config.overwrite) == (True, False)
    assert parse(ColorizeConfig, [*arguments, "--evaluate"]).model == "dunet"
    assert parse(ColorizeConfig, arguments).model == "unet"


def test_a_run_of_the_other_task_is_one_line(stored: ColorizeConfig) -> None:
    for option in (["--resume"], ["--evaluate"], ["--predict", "a.jpg"]):
        with pytest.raises(UserError, match=r"runs/a is a run of colorize.py, not of segment.py"):
            parse(SegmentConfig, ["--name", "a", "--runs-dir", str(stored.runs_dir), *option])


def test_a_moved_run_resumes_in_its_new_place(stored: ColorizeConfig, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "b"
    moved.parent.mkdir()
    stored.folder.rename(moved)
    config = parse(ColorizeConfig, ["--name", "b", "--runs-dir", str(moved.parent), "--resume"])
    assert config.folder == moved
    assert config.filters == 8


def test_settings_of_a_wrong_type_are_refused() -> None:
    with pytest.raises(UserError, match="settings of a wrong type"):
        ColorizeConfig.from_json({"filters": "many"})


def test_networks_with_defaults_of_their_own() -> None:
    tuned = defaults_of("resunet")
    assert (tuned.prior, tuned.optimizer, tuned.flip) == ("gray", "adamw", True)
    assert defaults_of("unet") == ColorizeConfig()


@pytest.mark.parametrize(
    ("arguments", "value"),
    [(["--name", "a"], None), (["--model", "a"], "a"), (["--model=b", "--flip"], "b"), (["--model"], None)],
)
def test_the_network_is_known_before_its_options_are_read(arguments: list[str], value: str | None) -> None:
    assert given_value("--model", arguments) == value


def test_adam_needs_no_weight_decay_of_zero() -> None:
    assert defaults_of("resunet", "adam").weight_decay == 0
    assert defaults_of("resunet", "adamw") == defaults_of("resunet")


def test_the_defaults_of_a_network_can_be_changed() -> None:
    arguments = ["--model", "resunet", "--no-flip", "--epochs", "3"]
    config = parse(ColorizeConfig, arguments, default=defaults_of("resunet"))
    assert config == dataclasses.replace(defaults_of("resunet"), flip=False, epochs=3)


def test_the_prior_needs_gray_images() -> None:
    with pytest.raises(UserError, match="--prior gray is for gray input: leave out --downsize-input"):
        ColorizeConfig(prior="gray", downsize_input=True)
