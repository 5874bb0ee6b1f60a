"""`--log`: what TensorBoard, a CSV file and Weights & Biases get, also after a resume."""

import csv
import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.errors import UserError
from jaxcolor.training import logs, run
from jaxcolor.training.logs import check_log, drawings, open_log
from jaxcolor.training.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "mine")
    folder.create({"task": "test", "settings": {"epochs": 3}})
    return folder


def metrics_of(epoch: int) -> dict[str, Any]:
    trained = {"train_loss": 2.0 / epoch} if epoch else {}
    return {"epoch": epoch, **trained, "val_loss": 3.0 - epoch, "seconds": 1.5}


def draw(folder: RunFolder, epoch: int) -> None:
    """Write the drawings of an epoch, whose brightness tells which it is."""
    for name in (f"samples/train-epoch-{epoch:03}.png", "confusion.png"):
        (folder.path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (2, 2), (epoch, epoch, epoch)).save(folder.path / name)


def train(folder: RunFolder, name: Any, epochs: list[int], done: int = 0) -> None:
    """Log epochs as a training does, after a resume if some are done."""
    folder.rewind(done)
    history = folder.read_metrics()
    log = open_log(name, folder, history)
    if done:
        log.add_drawings(done)
    for epoch in epochs:
        folder.log(metrics_of(epoch))
        log.add_metrics(metrics_of(epoch))
        draw(folder, epoch)
        log.add_drawings(epoch)
    log.close()


def read_events(folder: Path) -> dict[str, list[int]]:
    """Return the steps of each tag in TensorBoard's files: records with their length before them."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    steps: dict[str, list[int]] = {}
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = event_pb2.Event.FromString(data[12 : 12 + length])
            for value in event.summary.value:
                steps.setdefault(value.tag, []).append(event.step)
            data = data[16 + length :]
    return steps


def test_tensorboard_has_each_step_once_after_a_resume(folder: RunFolder) -> None:
    pytest.importorskip("tensorboardX")
    train(folder, "tensorboard", [0, 1, 2])
    train(folder, "tensorboard", [2, 3], done=1)  # epoch 2 had no checkpoint and is repeated
    steps = read_events(folder.path / "tensorboard")
    assert steps["val_loss"] == steps["seconds"] == [0, 1, 2, 3]
    assert steps["train_loss"] == [1, 2, 3]
    assert steps["samples/train"] == [0, 1, 2, 3]
    assert steps["confusion"] == [1, 2, 3]  # of epochs before the last one there is no file any more


def test_csv_has_each_epoch_once(folder: RunFolder) -> None:
    train(folder, "csv", [0, 1, 2])
    train(folder, "csv", [2, 3], done=1)
    with open(folder.path / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3"]
    assert [row["train_loss"] for row in rows] == ["", "2.0", "1.0", str(2 / 3)]


@pytest.mark.parametrize(("name", "path"), [("csv", "metrics.csv"), ("tensorboard", "tensorboard")])
def test_a_log_that_cannot_be_written_is_an_error_before_the_training(
    folder: RunFolder, name: Any, path: str
) -> None:
    if name == "tensorboard":
        pytest.importorskip("tensorboardX")
        (folder.path / path).write_text("a file")
    else:
        (folder.path / path).mkdir()
    with pytest.raises(OSError, match=path):
        open_log(name, folder, [])


class FakeWandb:
    """The part of wandb that a log uses. It keeps the calls."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.errors = SimpleNamespace(Error=ConnectionError)
        self.Image = lambda path: ("image", Path(path).name)

    def init(self, **options: Any) -> "FakeWandb":
        self.calls.append(("init", options["id"], options["resume"], options["config"]))
        return self

    def define_metric(self, *_: object, **__: object) -> None:
        pass

    def log(self, values: dict[str, Any], step: int) -> None:
        self.calls.append((step, values))

    def finish(self) -> None:
        self.calls.append("finish")


def test_wandb_goes_on_in_the_same_run(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    train(folder, "wandb", [1])
    kind, run_id, resume, config = wandb.calls[0]
    assert (kind, resume, config) == ("init", "allow", {"epochs": 3})
    assert wandb.calls[1] == (2, {"train_loss": 2.0, "val_loss": 2.0, "seconds": 1.5, "epoch": 1})
    step, images = wandb.calls[2]
    assert step == 3
    assert images["samples/train"] == ("image", "train-epoch-001.png")
    assert images["confusion"] == ("image", "confusion.png")
    assert wandb.calls[3] == "finish"
    wandb.calls.clear()
    train(folder, "wandb", [2, 3], done=1)
    assert wandb.calls[0][1] == run_id
    assert [call[0] for call in wandb.calls[1:-1]] == [4, 5, 6, 7]  # epoch 1 is not drawn again
    wandb.calls.clear()
    train(folder, "wandb", [3, 4], done=2)  # epoch 3 had no checkpoint, and is repeated
    assert [call[0] for call in wandb.calls[1:-1]] == [8, 9]


def test_wandb_gets_the_epochs_that_were_trained_without_it(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    train(folder, "none", [1, 2])
    train(folder, "wandb", [3], done=2)
    assert [call[0] for call in wandb.calls[1:3]] == [2, 4]
    assert wandb.calls[1][1]["val_loss"] == 2.0
    assert wandb.calls[-2][0] == 7


@pytest.mark.parametrize("text", ["{", "[]", '{"id": "a"}', '{"id": "a", "metrics": null, "drawings": 1}'])
def test_a_damaged_file_of_wandb_is_one_line(
    text: str, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", FakeWandb())
    file = folder.path / "wandb" / "jaxcolor.json"
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(UserError, match=r"jaxcolor\.json is damaged \(.*\): delete it to log into a new run"):
        open_log("wandb", folder, [])


def test_wandb_without_a_key_is_one_line(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise ConnectionError("api_key not configured\nTraceback")

    wandb = FakeWandb()
    monkeypatch.setattr(wandb, "init", refuse)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    with pytest.raises(
        UserError, match=r"cannot start \(api_key not configured\): run `wandb login`, or set"
    ):
        open_log("wandb", folder, [])


@pytest.mark.parametrize(("name", "package"), [("tensorboard", "tensorboardX"), ("wandb", "wandb")])
def test_a_missing_package_is_named_before_the_training(
    name: Any, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "find_spec", lambda module: None)
    config = ColorizeConfig(dataset="sample", runs_dir=tmp_path / "runs", log=name)

    def build_job(*_: object) -> Any:
        raise AssertionError("no data is read")

    with pytest.raises(
        UserError, match=f"^--log {name} needs the package {package}: run `pip install {package}`$"
    ):
        run.run(config, build_job)
    assert not (tmp_path / "runs").exists()
    check_log("none")
    check_log("csv")


def test_drawings_have_the_names_of_their_files(folder: RunFolder) -> None:
    for epoch in (1, 12):
        folder.log(metrics_of(epoch))
        draw(folder, epoch)
    assert drawings(folder, 1) == {"samples/train": folder.path / "samples" / "train-epoch-001.png"}
    found = drawings(folder, 12)
    assert found.keys() == {"samples/train", "confusion"}
    assert np.asarray(Image.open(found["samples/train"])).max() == 12
