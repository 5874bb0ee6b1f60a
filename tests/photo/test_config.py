import json
from pathlib import Path

import pytest

from jaxcolor.errors import UserError
from jaxcolor.photo.config import PhotoConfig


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": 50}, "--crop must be a multiple of 32, not 50"),
        ({"vividness": 1.5}, "--vividness must be from 0 to 1, not 1.5"),
        ({"rebalance": -1.0}, "--rebalance must be from 0 to 1"),
        ({"batch_size": 0}, "--batch-size must be at least 1"),
        ({"ema": 1.0}, "--ema must be from 0 to below 1"),
        ({"learning_rate": 0.0}, "--learning-rate must be above 0"),
    ],
)
def test_bad_settings_are_one_line(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        PhotoConfig(**options)


def test_settings_survive_json() -> None:
    config = PhotoConfig(width=32, vividness=0.3, runs_dir=Path("/runs"))
    assert PhotoConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert config.folder.name == "photo"
