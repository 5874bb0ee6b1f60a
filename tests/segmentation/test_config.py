import dataclasses
import json
from pathlib import Path

import pytest

from jaxcolor.errors import UserError
from jaxcolor.segmentation.config import SegmentConfig


def test_json_there_and_back() -> None:
    config = SegmentConfig(
        voc_dir=Path("/voc"),
        classes="3",
        image_size=(224, 224),
        predict=(Path("/a.jpg"),),
        runs_dir=Path("/r"),
    )
    assert SegmentConfig.from_json(json.loads(json.dumps(config.to_json(), default=str))) == config


def test_defaults_depend_on_backbone_and_data() -> None:
    light, deep = SegmentConfig().resolved(), SegmentConfig(backbone="resnet101").resolved()
    assert (light.output_stride, deep.output_stride) == (16, 8)
    assert light.image_size == deep.image_size == (520,)
    assert SegmentConfig(dataset="sample").resolved().image_size == (256,)
    assert SegmentConfig(crop=320).resolved().image_size == ()
    assert light.class_weights == "none"
    assert SegmentConfig(voc_dir=Path("v"), classes="3").resolved().class_weights == "sqrt"
    assert SegmentConfig(class_weights="sqrt").resolved().class_weights == "sqrt"
    assert SegmentConfig(output_stride=8, image_size=(64,)).resolved().image_size == (64,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "--epochs must be at least 1"),
        ({"learning_rate": 0.0}, "--learning-rate must be above 0"),
        ({"cache_limit": -1.0}, "--cache-limit must be at least 0"),
        ({"crop": 8}, "--crop must be at least 32"),
        ({"image_size": (8,)}, "--image-size must be 1 or 2 sizes from 32 on, not 8"),
        ({"image_size": (64, 64, 64)}, "--image-size must be 1 or 2 sizes"),
        ({"resume": True, "overwrite": True}, "exclude each other"),
        ({"checkpoint": "best"}, "--checkpoint is for"),
        ({"predict": (Path("a"),), "resume": True}, "--predict goes without"),
        ({"aux": True}, "--aux is for --train all"),
        ({"dataset": "sample", "archive": Path("a.tar")}, "exclude each other"),
        ({"classes": "3"}, "--classes is for"),
        ({"crop": 64, "image_size": (64,)}, "--crop and --image-size"),
        ({"dataset": "sample", "train_split": "trainval"}, "leave out --train-split"),
        ({"name": "a/b"}, "must be the name of a folder"),
    ],
)
def test_settings_that_make_no_sense(change: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        dataclasses.replace(SegmentConfig(), **change)
