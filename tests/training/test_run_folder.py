import json
from pathlib import Path
from typing import Any

import pytest

from jaxcolor.errors import UserError
from jaxcolor.training.run_folder import RunFolder, environment, find_run, on_device


def record(value: int) -> dict[str, Any]:
    return {"task": "test", "settings": {"value": value}}


def test_a_new_run_is_created_and_an_existing_one_refused(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "deep" / "run")
    run.create(record(1), lambda folder: (folder / "file").write_text("x"))
    assert run.read_config() == record(1)
    assert (run.path / "file").exists()
    with pytest.raises(UserError, match="exists: resume it with --resume, replace it with --overwrite"):
        run.create(record(2))
    assert run.read_config() == record(1)


def test_overwrite_replaces_everything(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.create(record(1))
    run.log({"epoch": 1})
    run.create(record(2), overwrite=True)
    assert run.read_config() == record(2)
    assert run.read_metrics() == []
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("file", ["chapter1.tex", "config.json"])
def test_overwrite_deletes_nothing_but_runs(tmp_path: Path, file: str) -> None:
    """Many programs have a config.json."""
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / file).write_text("{}")
    with pytest.raises(UserError, match="exists and is not a run"):
        RunFolder(tmp_path / "thesis").create(record(1), overwrite=True)
    assert (tmp_path / "thesis" / file).exists()


def test_a_creation_that_fails_leaves_the_old_run(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.create(record(1))

    def fail(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="No space left on device"):
        run.create(record(2), fail, overwrite=True)
    assert run.read_config() == record(1)
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_an_empty_folder_is_free(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    RunFolder(tmp_path / "run").create(record(1))
    assert RunFolder(tmp_path / "run").is_run()


def test_metrics_are_lines_and_a_cut_one_is_dropped(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.log({"epoch": 1, "val_loss": 0.5})
    run.log({"epoch": 2, "val_loss": 0.25})
    assert [json.loads(line) for line in run.metrics_file.read_text().splitlines()] == run.read_metrics()
    with open(run.metrics_file, "a") as file:
        file.write('{"epoch": 3, "val_l')
    assert [m["epoch"] for m in run.read_metrics()] == [1, 2]
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / ".grid.png.x.tmp").touch()
    run.rewind(1)
    assert run.metrics_file.read_text() == '{"epoch": 1, "val_loss": 0.5}\n'
    assert not any((tmp_path / "samples").iterdir())


def test_a_damaged_config(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config.json is damaged"):
        RunFolder(tmp_path).read_config()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot create the run folder"):
        RunFolder(tmp_path / "file" / "run").create(record(1))


def test_environment_names_versions_and_device() -> None:
    import jax

    facts = environment()
    assert facts["versions"]["jax"] == jax.__version__
    assert facts["device"].startswith("cpu: ")
    assert facts["device"].endswith(" cores") or facts["device"] == "cpu: 1 core"


def test_the_device_reads_well_in_a_line() -> None:
    assert on_device("cpu: 2 cores") == "on the CPU (2 cores)"
    assert on_device("gpu: NVIDIA H100") == "on gpu: NVIDIA H100"


def test_two_processes_cannot_train_into_one_folder(tmp_path: Path) -> None:
    first, second = RunFolder(tmp_path), RunFolder(tmp_path)
    with first.locked(), pytest.raises(UserError, match="another process is training"), second.locked():
        pass
    with second.locked():
        pass


def test_a_run_that_is_being_trained_is_not_overwritten(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.create(record(1))
    with run.locked(), pytest.raises(UserError, match="another process is training into"):
        RunFolder(tmp_path / "run").create(record(2), overwrite=True)
    assert run.read_config() == record(1)
    RunFolder(tmp_path / "run").create(record(2), overwrite=True)
    assert run.read_config() == record(2)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_missing_run_is_reported_with_close_names(tmp_path: Path) -> None:
    for name in ("unet", "cnn"):
        RunFolder(tmp_path / name).create(record(1))
    assert find_run(tmp_path / "unet").path == tmp_path / "unet"
    with pytest.raises(UserError, match=r"there is no run in .*unett: did you mean unet\?"):
        find_run(tmp_path / "unett")
    with pytest.raises(UserError, match=r"there is no run in .*zzz: the runs there are cnn, unet"):
        find_run(tmp_path / "zzz")
    with pytest.raises(UserError, match="there is no run in"):
        find_run(tmp_path / "missing" / "zzz")
    task = record(1)["task"]
    assert find_run(tmp_path / "unet", task).path == tmp_path / "unet"
    with pytest.raises(UserError, match=rf"unet is a run of {task}.py, not of other.py"):
        find_run(tmp_path / "unet", "other")
