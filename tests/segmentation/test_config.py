import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from jaxcolor import cli
from jaxcolor.errors import UserError
from jaxcolor.segmentation.config import SegmentConfig, defaults_of


def test_settings_are_read_back_from_json() -> None:
    config = SegmentConfig(
        voc_dir=Path("/voc"),
        classes="3",
        image_size=(224, 224),
        predict=(Path("/a.jpg"),),
        runs_dir=Path("/r"),
    )
    assert SegmentConfig.from_json(json.loads(json.dumps(config.to_json(), default=str))) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "--epochs must be at least 1"),
        ({"learning_rate": 0.0}, "--learning-rate must be above 0"),
        ({"cache_limit": -1.0}, "--cache-limit must be at least 0"),
        ({"crop": 8}, "--crop must be at least 32"),
        ({"image_size": (8,)}, "--image-size must be one or two sizes from 32 on, not 8"),
        ({"image_size": (64, 64, 64)}, "--image-size must be one or two sizes"),
        ({"resume": True, "overwrite": True}, "exclude each other"),
        ({"checkpoint": "latest"}, "--checkpoint is for"),
        ({"output_stride": 4}, "--output-stride must be 8, 16 or 32, not 4"),
        ({"predict": (Path("a"),), "resume": True}, "--predict excludes --resume"),
        ({"weights": Path("")}, "--weights must be a file, not empty or a folder"),
        ({"aux": True}, "--aux is for --train all"),
        ({"jitter": 0.2}, "--jitter is for --crop"),
        ({"blur": 1.0}, "--blur is for --crop"),
        ({"blur": -1.0, "crop": 64}, "--blur must be from 0 to 10"),
        ({"backbone_rate": 0.1}, "--backbone-rate is for --train all"),
        ({"backbone_rate": 0.0, "train": "all"}, "--backbone-rate must be above 0"),
        ({"clip": 0.0}, "--clip must be above 0"),
        ({"devices": 0}, "--devices must be at least 1, not 0"),
        ({"loss": ()}, "--loss must be one or several different losses"),
        ({"loss": ("dice", "dice")}, "--loss must be one or several different losses, not dice dice"),
        ({"tta": True}, "--tta is for --evaluate and --predict"),
        ({"window": 512}, "--window is for --evaluate and --predict"),
        ({"window": 16, "evaluate": True}, "--window must be at least 32, not 16"),
        ({"scale": (0.5, 1.0)}, "--scale is for --crop"),
        ({"loss": ("dice",), "class_weights": "sqrt"}, "--class-weights is for the losses cross-entropy"),
        ({"jitter": 1.0, "crop": 64}, "--jitter must be from 0 to below 1"),
        ({"crop": 64, "scale": (2.0, 1.0)}, "--scale must be two numbers from above 0 to 10"),
        ({"weight_decay": 0.1}, "--weight-decay is for --optimizer adamw"),
        ({"ema": 1.0}, "--ema must be from 0 to below 1"),
        ({"dataset": "sample", "archive": Path("a.tar")}, "exclude each other"),
        ({"classes": "3"}, "--classes is for"),
        ({"dataset": "sample", "train_split": "trainval"}, "leave out --train-split"),
        ({"name": "a/b"}, "must be the name of a folder"),
    ],
)
def test_bad_settings_are_refused(change: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        dataclasses.replace(SegmentConfig(), **change)


def test_defaults_depend_on_backbone_head_and_augmentation() -> None:
    assert defaults_of("resnet50") == SegmentConfig()
    assert defaults_of("efficientnet-lite1", "deeplabv3") == SegmentConfig()
    pyramid = defaults_of()
    assert (pyramid.head, pyramid.optimizer, pyramid.crop) == ("fpn", "adamw", None)
    assert defaults_of("resnet50", "fpn") == pyramid
    assert defaults_of(optimizer="adam").weight_decay == 0
    augmented = defaults_of(augment=True)
    assert (
        dataclasses.replace(augmented, augment=False, crop=None, jitter=0, blur=0, scale=(0.5, 2.0))
        == pyramid
    )
    assert augmented.crop == 320


@pytest.mark.parametrize(
    ("arguments", "changes"),
    [
        ([], {}),
        (["--optimizer", "adam", "--epochs", "3"], {"optimizer": "adam", "weight_decay": 0.0, "epochs": 3}),
        (["--head", "deeplabv3plus"], dataclasses.asdict(SegmentConfig()) | {"head": "deeplabv3plus"}),
        (
            ["--augment", "--crop", "64"],
            {"augment": True, "crop": 64, "scale": (0.75, 1.6), "jitter": 0.3, "blur": 1.0},
        ),
    ],
)
def test_the_command_line_changes_the_defaults(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], changes: dict[str, Any]
) -> None:
    found: list[SegmentConfig] = []
    monkeypatch.setattr("jaxcolor.segmentation.job.segment", lambda config, since: found.append(config))
    cli.segment(arguments)
    assert found == [dataclasses.replace(defaults_of(), **changes)]
