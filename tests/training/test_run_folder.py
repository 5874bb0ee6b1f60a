import json
from pathlib import Path

import pytest

from jaxcolor.errors import UserError
from jaxcolor.training.run_folder import RunFolder, environment


def test_a_new_run_is_created_and_an_existing_one_refused(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "deep" / "run")
    run.create({"a": 1})
    assert run.read_config() == {"a": 1}
    with pytest.raises(UserError, match=r"exists: continue it with --resume, replace it with --overwrite"):
        run.create({"a": 2})
    assert run.read_config() == {"a": 1}


def test_overwrite_replaces_everything(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.create({"a": 1})
    run.log({"epoch": 1})
    run.create({"a": 2}, overwrite=True)
    assert run.read_config() == {"a": 2}
    assert run.read_metrics() == []


def test_overwrite_deletes_nothing_but_runs(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("…")
    with pytest.raises(UserError, match="exists and is not a run"):
        RunFolder(tmp_path / "thesis").create({}, overwrite=True)
    assert (tmp_path / "thesis" / "chapter1.tex").exists()


def test_an_empty_folder_is_free(tmp_path: Path) -> None:
    RunFolder(tmp_path).create({"a": 1})
    assert RunFolder(tmp_path).has_config()


def test_metrics_are_lines_and_a_cut_one_is_dropped(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.log({"epoch": 1, "val_loss": 0.5})
    run.log({"epoch": 2, "val_loss": 0.25})
    assert [json.loads(line) for line in run.metrics_file.read_text().splitlines()] == run.read_metrics()
    with open(run.metrics_file, "a") as file:
        file.write('{"epoch": 3, "val_l')
    assert [m["epoch"] for m in run.read_metrics()] == [1, 2]
    run.rewind_metrics(1)
    assert run.metrics_file.read_text() == '{"epoch": 1, "val_loss": 0.5}\n'


def test_a_damaged_config(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"cannot read .*config.json"):
        RunFolder(tmp_path).read_config()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="Not a directory"):
        RunFolder(tmp_path / "file" / "run").create({})


def test_environment_names_versions_and_device() -> None:
    import jax

    facts = environment()
    assert facts["versions"]["jax"] == jax.__version__
    assert facts["device"].startswith("cpu")
