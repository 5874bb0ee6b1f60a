import json
from pathlib import Path

import pytest

from jaxcolor.errors import UserError
from jaxcolor.photo.config import SHIPPED, PhotoConfig, ShippedConfig


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": (96, 50)}, "--crop must be multiples of 32, not 96 50"),
        ({"vividness": 1.5}, "--vividness must be from 0 to 1, not 1.5"),
        ({"rebalance": -1.0}, "--rebalance must be from 0 to 1"),
        ({"batch_size": 0}, "--batch-size must be at least 1"),
        ({"ema": 1.0}, "--ema must be from 0 to below 1"),
        ({"learning_rate": 0.0}, "--learning-rate must be above 0"),
        ({"backbone_rate": 0.0}, "--backbone-rate must be above 0"),
        ({"image_dir": Path("a"), "category": "all"}, "--image-dir and --category exclude each other"),
        ({"archive": Path("a.tar.gz")}, "--archive is for CIFAR-10: add --category all"),
        ({"name": "shipped"}, "--name shipped is the network that comes with jaxcolor"),
        ({"average": True}, "--average is for --predict and --evaluate"),
        ({"out": Path("a")}, "--out is for --predict: leave it out"),
    ],
)
def test_bad_settings_are_one_line(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        PhotoConfig(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vividness": -0.1}, "--vividness must be from 0 to 1"),
        ({"evaluate": True, "predict": (Path("a"),)}, "--predict excludes --evaluate"),
        ({"evaluate": True, "out": Path("a")}, "--out is for --predict"),
        ({"image_dir": Path("a")}, "--image-dir is for --evaluate"),
        ({"evaluate": True}, "give a folder or a zip archive of color images with --image-dir"),
    ],
)
def test_bad_settings_of_the_network_that_ships_are_one_line(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ShippedConfig(**options)


def test_the_network_that_ships_is_no_run() -> None:
    config = PhotoConfig(init_from=SHIPPED).with_absolute_paths()
    assert config.run_to_start_from is None
    assert PhotoConfig.from_json(json.loads(json.dumps(config.to_json()))).starts_from_shipped
    other = PhotoConfig(init_from=Path("other")).with_absolute_paths()
    assert other.run_to_start_from == Path("other").absolute()


def test_settings_survive_json() -> None:
    config = PhotoConfig(width=32, vividness=0.3, runs_dir=Path("/runs"))
    assert PhotoConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert config.folder.name == "photo"
