from pathlib import Path

import pytest

from jaxcolor import cli
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
    assert len(calls) == 2
    assert not cli.is_photo_run(["--name", "horses", "--runs-dir", str(tmp_path)])
    assert not cli.is_photo_run(["--runs-dir", str(tmp_path)])
