import json
from pathlib import Path

import pytest
from analysis.config import QUICK, AnalyzeConfig

from jaxcolor.cli import parse
from jaxcolor.errors import UserError
from jaxcolor.training.run_folder import RunFolder


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seeds": 0}, "--seeds must be at least 1, not 0"),
        ({"image_size": (30,)}, "--image-size must be sizes that divide by 8"),
        ({"batch_sizes": ()}, "--batch-sizes must be one or more sizes from 1 on, not nothing"),
        ({"memory_sizes": (34,)}, "--memory-sizes must be sizes that divide by 4"),
        ({"memory_sizes": (16,)}, "--memory-sizes must be one or more sizes from 32 on, not 16"),
        (
            {"changes": ((0.0, 1.0),)},
            "--changes must be pairs of finite numbers, the first not 0, not 0.0 1.0",
        ),
        ({"changes": ((float("inf"), 1.0),)}, "--changes must be pairs of finite numbers"),
        ({"parts": ()}, "--parts must be one or more"),
        ({"resume": True, "overwrite": True}, "exclude each other"),
        ({"dataset": "sample", "category": "cat"}, "has no categories"),
        ({"dataset": "sample", "archive": Path("a")}, "--archive is for CIFAR-10"),
        ({"name": "a/b"}, "must be the name of a folder"),
    ],
)
def test_bad_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        AnalyzeConfig(**settings)


def test_settings_survive_json() -> None:
    config = AnalyzeConfig(changes=((1.5, 2.0), (-1.0, 0.0)), archive=Path("/a"), runs_dir=Path("/runs"))
    assert AnalyzeConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_quick_changes_defaults_that_may_be_changed_again(tmp_path: Path) -> None:
    presets = {"quick": QUICK}
    config = parse(AnalyzeConfig, ["--quick", "--seeds", "5", "--changes", "2", "1"], presets)
    assert (config.quick, config.dataset, config.seeds, config.epochs) == (True, "sample", 5, QUICK.epochs)
    assert config.changes == ((2.0, 1.0),)
    # What is gone on with keeps what --quick brought.
    arguments = ["--runs-dir", str(tmp_path)]
    RunFolder(tmp_path / "analysis").create({"task": "analyze", "settings": config.to_json()})
    resumed = parse(AnalyzeConfig, [*arguments, "--resume"], presets)
    assert (resumed.resume, resumed.seeds, resumed.dataset) == (True, 5, "sample")
    assert parse(AnalyzeConfig, arguments, presets).seeds == AnalyzeConfig.seeds
