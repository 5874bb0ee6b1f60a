from pathlib import Path

import pytest

from jaxcolor import cli
from jaxcolor.errors import UserError
from jaxcolor.training.run_folder import RunFolder


def test_the_model_or_the_run_decides_which_settings_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(cli, "color_photos", lambda arguments, prog: calls.append(arguments))
    RunFolder(tmp_path / "family").create({"task": "photo", "settings": {}})
    RunFolder(tmp_path / "horses").create({"task": "colorize", "settings": {}})
    cli.colorize(["--model", "photo"])
    cli.colorize(["--name", "family", "--runs-dir", str(tmp_path), "--evaluate"])
    cli.colorize(["--image-dir", "images"])
    assert len(calls) == 3
    assert not cli.is_photo_run(["--name", "horses", "--runs-dir", str(tmp_path)])
    assert not cli.is_photo_run(["--runs-dir", str(tmp_path)])


@pytest.mark.parametrize(
    ("arguments", "shipped"),
    [
        (["--predict", "a.jpg"], True),
        (["--predict=a.jpg", "--vividness", "0.2"], True),
        (["--evaluate", "--image-dir", "images"], True),
        (["--predict", "a.jpg", "--name", "horses"], False),
        (["--predict", "a.jpg", "--model=unet"], False),
        (["--predict", "a.jpg", "--runs-dir", "runs"], False),
        (["--evaluate"], False),
        ([], False),
    ],
)
def test_images_are_colored_by_the_network_that_ships_unless_a_run_is_named(
    arguments: list[str], shipped: bool
) -> None:
    assert cli.uses_shipped(arguments) == shipped


def test_a_run_of_another_program_is_named_as_it_is_called(tmp_path: Path) -> None:
    RunFolder(tmp_path / "family").create({"task": "photo", "settings": {}})
    with pytest.raises(UserError, match=r"is a run of colorize.py --model photo, not of segment.py"):
        cli.segment(["--name", "family", "--runs-dir", str(tmp_path), "--evaluate"])
