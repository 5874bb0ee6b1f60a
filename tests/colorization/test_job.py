"""Whole runs on a small archive, and what goes wrong with them."""

import csv
import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import jax
import numpy as np
import pytest
import tiny_network
from flax import linen as nn
from PIL import Image

from jaxcolor.colorization import job as job_module
from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.colorization.data import Dataset
from jaxcolor.colorization.job import colorize as run_job
from jaxcolor.colorization.job import resolve
from jaxcolor.errors import UserError
from jaxcolor.loading import load
from jaxcolor.models import MODELS
from jaxcolor.training import compilation, curves
from jaxcolor.training.checkpoints import Checkpoints
from jaxcolor.training.fit import Evaluation
from jaxcolor.training.run import load_weights
from jaxcolor.training.run_folder import RunFolder


@pytest.fixture(scope="module", autouse=True)
def tiny() -> Iterator[str]:
    """Name of a tiny network."""
    with tiny_network.installed() as name:
        yield name


@pytest.fixture
def config(tiny: str, archive: Path, data_dir: Path, tmp_path: Path) -> ColorizeConfig:
    """The tiny network and 40 images: two epochs of three steps, the last one padded."""
    return make_config(tiny, archive, data_dir, tmp_path / "runs")


def make_config(model: str, archive: Path, data_dir: Path, runs_dir: Path) -> ColorizeConfig:
    return ColorizeConfig(
        model=model, filters=4, colors=6, epochs=2, batch_size=16, learning_rate=1e-2, shuffle="epoch",
        archive=archive, data_dir=data_dir, runs_dir=runs_dir,
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(
    tiny: str, archive: Path, data_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> ColorizeConfig:
    """The settings of a finished run that the tests share. They must not change its files."""
    config = make_config(tiny, archive, data_dir, tmp_path_factory.mktemp("finished"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compilation, "compiler_options", lambda backend: {})
        colorize(config)
    return config


Copied: TypeAlias = Callable[..., ColorizeConfig]


@pytest.fixture
def copied(finished: ColorizeConfig, config: ColorizeConfig) -> Copied:
    """A function that copies the finished run, and returns the settings of the copy. It takes a name."""

    def copy(name: str | None = None) -> ColorizeConfig:
        copied = dataclasses.replace(config, name=name)
        shutil.copytree(finished.folder, copied.folder)
        return copied

    return copy


def colorize(config: ColorizeConfig) -> dict[str, float]:
    metrics = run_job(config)
    assert metrics is not None
    return metrics


def run_of(config: ColorizeConfig) -> RunFolder:
    return RunFolder(config.folder)


def metrics_of(config: ColorizeConfig) -> list[dict[str, Any]]:
    """The run's metrics without the seconds."""
    return [{k: v for k, v in m.items() if k != "seconds"} for m in run_of(config).read_metrics()]


def test_a_run_writes_all_its_files(config: ColorizeConfig, capsys: pytest.CaptureFixture[str]) -> None:
    config = dataclasses.replace(config, model="unet", shuffle="once")
    metrics = colorize(config)
    folder = config.folder
    files = {str(p.relative_to(folder)) for p in folder.rglob("[!.]*.*") if "checkpoints" not in p.parts}
    samples = {f"samples/{s}-epoch-{e:03}.png" for s in ("train", "validation") for e in (1, 2)}
    assert files == samples | {
        "config.json", "metrics.jsonl", "curves.png", "palette.npy", "palette.png", "scores.json",
        "scores.csv", "activations/image-0-epoch-002.png"
    }  # fmt: skip
    for file in files:
        if file.endswith(".png"):
            assert np.asarray(Image.open(folder / file)).std() > 5, f"{file} is empty"
    written = json.loads((folder / "scores.json").read_text())
    assert (written["epoch"], written["val_loss"]) == (2, metrics["val_loss"])
    scores = written["scores"]
    assert list(scores) == ["majority color", "gray-level table", "this network", "perfect palette"]
    assert scores["this network"]["accuracy"] == pytest.approx(metrics["val_accuracy"], abs=1e-5)
    rows = list(csv.DictReader((folder / "scores.csv").read_text().splitlines()))
    assert [row["image"] for row in rows] == [str(index) for index in range(12)]
    for name in ("accuracy", "ssim"):
        mean = np.mean([float(row[name]) for row in rows])
        assert mean == pytest.approx(scores["this network"][name], abs=1e-6)
    # PSNR is that of the mean squared error.
    errors = [10 ** (-float(row["psnr"]) / 10) for row in rows]
    assert -10 * np.log10(np.mean(errors)) == pytest.approx(scores["this network"]["psnr"])
    assert {p.name for p in (folder / "checkpoints").iterdir()} <= {"1", "2"}

    logged = run_of(config).read_metrics()
    assert [m["epoch"] for m in logged] == [1, 2]
    assert set(logged[0]) == {"epoch", "train_loss", "val_loss", "val_accuracy", "seconds"}
    assert metrics == logged[-1]
    assert logged[-1]["train_loss"] < logged[0]["train_loss"] < 2.5

    record = run_of(config).read_config()
    assert record["settings"]["filters"] == 4
    assert record["dataset"]["train"] == 40
    assert len(record["dataset"]["archive_md5"]) == 32
    assert record["versions"]["jax"]
    assert np.load(folder / "palette.npy").shape == (6, 3)

    lines = capsys.readouterr().out.splitlines()
    assert job_module.ABOUT_SAMPLE not in lines
    assert (
        lines[-2]
        == f"final: val_loss={metrics['val_loss']:.4f} val_accuracy={metrics['val_accuracy']:.4f} {folder}"
    )
    for part in ("start", "data", "compiling", "training", "evaluation", "drawing", "saving"):
        assert re.search(rf"\b{part} \d+\.\d\b", lines[-1])
    assert sum(line.startswith("epoch ") for line in lines) == 2


def test_the_same_seed_gives_the_same_numbers(config: ColorizeConfig, finished: ColorizeConfig) -> None:
    runs = [dataclasses.replace(config, name=f"seed-{seed}", seed=seed) for seed in (0, 1)]
    for run in runs:
        colorize(run)
    first, second, other = map(metrics_of, (finished, *runs))
    assert first == second
    assert first != other


class Killed(BaseException):
    pass


@pytest.mark.parametrize(("where", "epoch"), [("evaluate", 1), ("draw", 1), ("draw", 2), ("save", 2)])
def test_a_run_stopped_anywhere_resumes_to_the_same_numbers(
    config: ColorizeConfig,
    finished: ColorizeConfig,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    epoch: int,
) -> None:
    target = Checkpoints if where == "save" else job_module.ColorizeJob
    original, calls = getattr(target, where), []

    def stop(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == epoch:
            raise Killed
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(target, where, stop)
        with pytest.raises(Killed):
            colorize(config)
    colorize(dataclasses.replace(config, resume=True))
    assert metrics_of(config) == metrics_of(finished)
    names = [{p.name for p in c.folder.rglob("*.png")} for c in (finished, config)]
    assert names[0] == names[1]


def test_a_run_with_all_training_options_resumes_to_the_same_numbers(
    config: ColorizeConfig, finished: ColorizeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {
        "optimizer": "adamw", "weight_decay": 0.05, "schedule": "one-cycle", "warm_up": 1, "flip": True,
        "shift": 1, "label_smoothing": 0.1, "shuffle": "epoch", "ema": 0.9, "prior": "gray",
    }  # fmt: skip
    whole = dataclasses.replace(config, name="whole", **options)
    colorize(whole)
    assert metrics_of(whole) != metrics_of(finished)

    def stop(*arguments: Any) -> Any:
        raise Killed

    stopped = dataclasses.replace(config, name="stopped", **options)
    with monkeypatch.context() as patch:
        patch.setattr(job_module.ColorizeJob, "draw", stop)
        with pytest.raises(Killed):
            colorize(stopped)
    colorize(dataclasses.replace(stopped, resume=True))
    assert metrics_of(stopped) == metrics_of(whole)
    with pytest.raises(UserError, match="was planned for 2 epochs, and its learning rate reaches 0 there"):
        colorize(dataclasses.replace(stopped, resume=True, epochs=3))


def test_the_moving_average_and_the_prior_are_evaluated_loaded_and_continued(config: ColorizeConfig) -> None:
    config = dataclasses.replace(config, ema=0.9, prior="gray")
    last = colorize(config)
    again = colorize(dataclasses.replace(config, evaluate=True, checkpoint="latest"))
    assert again == {name: last[name] for name in again}
    model = load(config.folder, "latest")
    job = job_module.build_job(config, run_of(config), run_of(config))
    with Checkpoints(run_of(config).checkpoints) as checkpoints:
        state = checkpoints.restore("latest", job.initial_state)
    kernels = [tree["first"]["conv"]["kernel"] for tree in (state.params, state.averaged["params"])]
    assert np.abs(kernels[0] - kernels[1]).max() > 1e-4
    images = job.truth["validation"].images[:3]
    expected = job.predict_labels(state, np.asarray(job.arrays["validation"]["inputs"][:3]))
    np.testing.assert_array_equal(model.predict(images), job_module.paint(expected, job.palette))
    # Another run starts from the average, and counts the prior of its own images.
    started = dataclasses.replace(config, name="started", init_from=config.folder, checkpoint="latest")
    first = job_module.build_job(started, run_of(started), None)
    from_run, _ = load_weights(first, run_of(config), first.initial_state)
    jax.tree.map(np.testing.assert_array_equal, from_run.params, state.averaged["params"])
    jax.tree.map(np.testing.assert_array_equal, from_run.averaged, state.averaged)
    np.testing.assert_array_equal(first.prior, job.prior)


def test_the_best_checkpoint_and_patience_follow_the_metric(
    config: ColorizeConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = iter([(1.0, 0.1), (2.0, 0.3), (3.0, 0.2), (0.5, 0.9)])

    def evaluate(*_: object) -> Evaluation:
        loss, accuracy = next(found)
        return Evaluation({"val_loss": loss, "val_accuracy": accuracy})

    config = dataclasses.replace(config, epochs=5, patience=1, best="val_accuracy", log="csv")
    with monkeypatch.context() as patch:
        patch.setattr(job_module.ColorizeJob, "evaluate", evaluate)
        colorize(config)
    output = capsys.readouterr().out
    assert "Stopped after 1 epochs without a higher accuracy" in output
    assert "Highest accuracy after epoch 2 of 3" in output
    colorize(dataclasses.replace(config, evaluate=True))
    assert "the best checkpoint, after epoch 2" in capsys.readouterr().out
    assert (config.folder / "metrics.csv").read_text().splitlines()[3].startswith("3,")
    with pytest.raises(UserError, match="was started with --best val_accuracy, not val_loss"):
        colorize(dataclasses.replace(config, resume=True, best="val_loss"))


def test_resume_with_more_epochs_equals_a_longer_run(copied: Copied) -> None:
    config = copied()
    longer = dataclasses.replace(config, name="longer", epochs=3)
    colorize(longer)
    colorize(dataclasses.replace(config, resume=True, epochs=3))
    assert metrics_of(config) == metrics_of(longer)
    assert run_of(config).read_config()["settings"]["epochs"] == 3


def test_resume_of_a_finished_run_changes_nothing(copied: Copied, capsys: pytest.CaptureFixture[str]) -> None:
    config = copied()
    before = run_of(config).read_metrics()
    assert colorize(dataclasses.replace(config, resume=True)) == before[-1]
    lines = capsys.readouterr().out.splitlines()
    assert f"{config.folder} is finished: 2 of 2 epochs" in lines
    assert not any("Resuming" in line for line in lines)
    assert run_of(config).read_metrics() == before


def test_resume_refuses_other_settings_and_images(copied: Copied) -> None:
    config = copied("run")
    for change in (
        {"seed": 3},
        {"filters": 8},
        {"model": "cnn"},
        {"category": "cat"},
        {"learning_rate": 1.0},
    ):
        with pytest.raises(UserError, match="was started with --"):
            colorize(dataclasses.replace(config, resume=True, **change))
    with pytest.raises(UserError, match="was started with --dataset cifar10, not sample"):
        colorize(dataclasses.replace(config, resume=True, archive=None, dataset="sample"))
    record = run_of(config).read_config()
    run_of(config).write_config(record | {"dataset": record["dataset"] | {"train": 41}})
    with pytest.raises(UserError, match="was started with other images"):
        colorize(dataclasses.replace(config, resume=True))
    assert len(metrics_of(config)) == 2


def test_resume_refuses_a_run_that_lost_its_checkpoints(copied: Copied) -> None:
    config = copied()
    shutil.rmtree(run_of(config).checkpoints)
    with pytest.raises(UserError, match="has the metrics of 2 epochs but no checkpoint"):
        colorize(dataclasses.replace(config, resume=True))
    assert len(metrics_of(config)) == 2


def test_evaluate_repeats_the_validation(copied: Copied) -> None:
    config = copied()
    file = run_of(config).metrics_file
    before = file.read_bytes()
    for which in ("latest", "best"):
        metrics = colorize(dataclasses.replace(config, evaluate=True, checkpoint=which))
        logged = run_of(config).read_metrics()
        expected = logged[-1] if which == "latest" else min(logged, key=lambda m: m["val_loss"])
        assert metrics["val_loss"] == expected["val_loss"]
        assert metrics["val_accuracy"] == expected["val_accuracy"]
        written = json.loads((config.folder / "scores.json").read_text())
        assert (written["epoch"], written["val_loss"]) == (expected["epoch"], expected["val_loss"])
    # The batch size does not matter, because padding does not count.
    other = colorize(dataclasses.replace(config, evaluate=True, checkpoint="latest", batch_size=5))
    assert other["val_loss"] == pytest.approx(metrics_of(config)[-1]["val_loss"], rel=1e-5)
    assert file.read_bytes() == before


def test_an_earlier_epoch_with_a_lower_loss_is_named(
    config: ColorizeConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    colorize(config)
    run = run_of(config)
    *_, last = run.read_metrics()
    run.log(last | {"epoch": 3, "val_loss": 9.0})
    capsys.readouterr()
    colorize(dataclasses.replace(config, evaluate=True))
    line = capsys.readouterr().out.splitlines()[-2]
    best = min(run.read_metrics(), key=lambda metrics: metrics["val_loss"])["epoch"]
    assert line == f"These scores are those after epoch {best} of 3, the lowest validation loss."


def test_the_data_decides_the_number_of_epochs_once(config: ColorizeConfig) -> None:
    def dataset(name: str) -> Dataset:
        images = np.zeros((1, 32, 32, 3), np.uint8)
        return Dataset(images, images, {"name": name})

    auto = dataclasses.replace(config, epochs=None)
    assert resolve(auto, dataset("cifar10"), None).epochs == 25
    assert resolve(config, dataset("cifar10"), None).epochs == 2
    assert resolve(ColorizeConfig(), dataset("sample"), None).epochs == 8
    assert resolve(ColorizeConfig(epochs=30), dataset("sample"), None).epochs == 30
    colorize(config)
    run = run_of(config)
    # A run keeps its number, unless another one is given.
    assert resolve(auto, dataset("cifar10"), run).epochs == 2
    assert resolve(dataclasses.replace(config, epochs=3), dataset("cifar10"), run).epochs == 3
    colorize(dataclasses.replace(auto, resume=True))
    assert run.read_config()["settings"]["epochs"] == 2
    assert len(metrics_of(config)) == 2


def test_init_from_reads_weights_and_palette(copied: Copied) -> None:
    config = copied("first")
    first = run_of(config).read_metrics()
    second = dataclasses.replace(
        config,
        name="second",
        init_from=Path("first"),
        checkpoint="latest",
        learning_rate=1e-9,
        epochs=1,
        seed=1,
    )
    metrics = colorize(second)
    # The steps are tiny: only the running averages change.
    assert metrics["train_loss"] < first[0]["train_loss"]
    assert metrics["val_loss"] == pytest.approx(first[-1]["val_loss"], abs=0.3)
    palettes = [np.load(config.runs_dir / name / "palette.npy") for name in ("first", "second")]
    np.testing.assert_array_equal(palettes[0], palettes[1])


@pytest.mark.parametrize("origin", ["init_from", "palette"])
def test_a_run_killed_before_its_first_checkpoint_resumes_from_its_origin(
    copied: Copied, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, origin: str
) -> None:
    config = copied("first")
    np.save(tmp_path / "mine.npy", np.linspace(0, 0.9, 6)[:, None].repeat(3, 1))
    change: Any = {"init_from": Path("first"), "palette": tmp_path / "mine.npy"}[origin]
    whole = dataclasses.replace(config, name="whole", seed=1, **{origin: change})
    colorize(whole)
    killed = dataclasses.replace(whole, name="killed")

    def kill(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(job_module.ColorizeJob, "train_epoch", kill)
        with pytest.raises(KeyboardInterrupt):
            colorize(killed)
    colorize(dataclasses.replace(killed, resume=True))
    assert metrics_of(killed) == metrics_of(whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "cnn"}, "model tiny, not cnn"),
        ({"filters": 8}, "filters 4, not 8"),
        ({"kernel_size": 5}, "kernel size 3, not 5"),
        ({"downsize_input": True}, "downsize input False, not True"),
    ],
)
def test_weights_of_another_network_are_refused(copied: Copied, change: dict, message: str) -> None:
    config = copied("first")
    with pytest.raises(UserError, match=f"holds another network: {message}"):
        colorize(dataclasses.replace(config, name="second", init_from=Path("first"), **change))
    with pytest.raises(UserError, match=f"holds another network: {message}"):
        colorize(dataclasses.replace(config, name="first", evaluate=True, **change))
    assert not (config.runs_dir / "second").exists()


def test_a_palette_of_the_users(config: ColorizeConfig, tmp_path: Path) -> None:
    palette = np.asarray([[0, 0, 0], [0.5, 0.5, 0.5], [0.9, 0.9, 0.9]], np.float32)
    np.save(tmp_path / "p.npy", palette)
    colorize(dataclasses.replace(config, epochs=1, palette=tmp_path / "p.npy"))
    np.testing.assert_array_equal(np.load(config.folder / "palette.npy"), palette)
    assert run_of(config).read_config()["settings"]["colors"] == 3


@pytest.mark.parametrize("model", ["cnn", "dunet"])
def test_other_models_and_super_resolution(config: ColorizeConfig, model: Any) -> None:
    colorize(dataclasses.replace(config, epochs=1, model=model, downsize_input=True, precision="bfloat16"))
    grids = [np.asarray(Image.open(p)) for p in (config.runs_dir / model / "samples").iterdir()]
    # Four rows: the bilinear baseline is the last.
    assert all(grid.shape[0] > 4 * 96 for grid in grids)


class WithoutNorm(nn.Module):
    colors: int = 6

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Conv(self.colors, (1, 1))(nn.relu(nn.Conv(4, (3, 3))(x)))


class WithFlaxNorm(nn.Module):
    colors: int = 6

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        x = nn.BatchNorm(use_running_average=not train)(nn.Conv(4, (3, 3))(x))
        return nn.Conv(self.colors, (1, 1))(x)


@pytest.mark.parametrize("network", [WithoutNorm, WithFlaxNorm])
def test_a_network_of_ones_own_trains_to_the_end(
    config: ColorizeConfig, network: type, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(MODELS, "own", network)
    own = dataclasses.replace(config, model="own", filters=32, epochs=1)
    colorize(own)
    assert "cannot draw" not in capsys.readouterr().err
    assert (own.folder / "activations/image-0-epoch-001.png").is_file()
    assert load(own.folder).predict(np.zeros((5, 7, 3), np.uint8)).shape == (5, 7, 3)


def test_samples_are_drawn_every_few_epochs(config: ColorizeConfig) -> None:
    colorize(dataclasses.replace(config, epochs=5, plot_every=2))
    drawn = sorted(p.name for p in (config.folder / "samples").glob("train-*"))
    assert drawn == [f"train-epoch-{epoch:03}.png" for epoch in (2, 4, 5)]


@pytest.mark.parametrize(("name", "title"), [(None, "tiny"), ("tiny", "tiny"), ("mine", "mine: tiny")])
def test_curves_are_titled_by_run_and_network(
    copied: Copied, monkeypatch: pytest.MonkeyPatch, name: str | None, title: str
) -> None:
    titles: list[str] = []
    monkeypatch.setattr(curves, "draw_curves", lambda path, title, *_: titles.append(title))
    colorize(dataclasses.replace(copied(name), resume=True))
    assert titles == [title]


def test_a_diverging_run_stops_and_keeps_its_last_good_checkpoint(copied: Copied) -> None:
    config = copied()
    kept = {p.name for p in run_of(config).checkpoints.iterdir()}
    assert "2" in kept
    # The learning rate is not one that resume may change, so it is changed in the record.
    record = run_of(config).read_config()
    record["settings"]["learning_rate"] = 1e38
    run_of(config).write_config(record)
    with pytest.raises(
        UserError,
        match=r"loss became (nan|inf) in epoch 3: the checkpoint after epoch 2 is kept",
    ):
        colorize(dataclasses.replace(config, resume=True, epochs=4, learning_rate=1e38))
    assert [m["epoch"] for m in metrics_of(config)] == [1, 2]
    assert {p.name for p in run_of(config).checkpoints.iterdir()} == kept


def test_an_existing_run_is_an_error_before_any_work(copied: Copied, monkeypatch: pytest.MonkeyPatch) -> None:
    config = copied()
    monkeypatch.setattr(job_module, "load_dataset", None)
    with pytest.raises(UserError, match="exists: resume it with --resume"):
        colorize(config)


def test_overwrite_keeps_the_old_run_until_the_new_one_can_start(copied: Copied, tmp_path: Path) -> None:
    config = copied()
    missing = dataclasses.replace(config, overwrite=True, archive=tmp_path / "missing.tar.gz")
    with pytest.raises(UserError, match="No such file"):
        colorize(missing)
    assert len(metrics_of(config)) == 2
    colorize(dataclasses.replace(config, overwrite=True, seed=5))
    assert run_of(config).read_config()["settings"]["seed"] == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"archive": Path("missing.tar.gz")}, "cannot read .*missing.tar.gz: No such file"),
        ({"archive": None, "dataset": "cifar10", "data_dir": Path("empty")}, "cannot download"),
        ({"category": "frog"}, "no train images of the category frog"),
        ({"palette": Path("missing.npy")}, "cannot read the palette .*missing.npy"),
        ({"init_from": Path("nothing")}, "there is no run in"),
        ({"evaluate": True}, "there is no run in"),
        ({"activations": 12}, "choose a validation image from 0 to 11"),
        (
            {"archive": None, "data_dir": Path("empty"), "category": "dog"},
            "the built-in sample has no categories",
        ),
        ({"model": "cnn", "dilation": 3}, "the network cnn has no setting --dilation"),
        ({"model": "unett"}, "there is no network 'unett': choose from cnn, unet, dunet"),
        ({"resume": True}, "there is no run in"),
        ({"precision": "tf32"}, "tf32 is for GPUs"),
        ({"runs_dir": Path("/dev/null/runs")}, "Not a directory"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    config: ColorizeConfig, change: dict, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as error:
        colorize(dataclasses.replace(config, **change))
    assert "\n" not in str(error.value)
    assert not config.runs_dir.exists()


def test_without_cifar10_the_sample_is_used_and_a_message_says_so(
    config: ColorizeConfig,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """With few patches; the slow tests train on the whole sample."""
    from jaxcolor.colorization import data

    original = data.load_sample
    monkeypatch.setattr(data, "load_sample", lambda: tuple(p[:20] for p in original()))
    monkeypatch.setitem(job_module.EPOCHS, "sample", 1)
    colorize(dataclasses.replace(config, archive=None, data_dir=tmp_path, epochs=None))
    output = capsys.readouterr()
    assert "CIFAR-10 IS NOT HERE" in output.err
    assert job_module.ABOUT_SAMPLE in output.out.splitlines()
    record = run_of(config).read_config()
    assert record["settings"]["epochs"] == len(metrics_of(config)) == 1
    assert (record["dataset"]["name"], record["dataset"]["requested"]) == ("sample", "auto")
    assert (record["settings"]["dataset"], record["settings"]["category"]) == ("sample", "all")


def test_config_json_is_plain(finished: ColorizeConfig) -> None:
    settings = json.loads(run_of(finished).config_file.read_text())["settings"]
    assert ColorizeConfig.from_json(settings).archive == finished.archive


def test_more_images_per_step_than_there_are_is_a_warning(
    config: ColorizeConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "warning: --batch-size 41 is above the number of training images: a step takes all 40"
    colorize(dataclasses.replace(config, epochs=1, batch_size=41))
    assert line in capsys.readouterr().err.splitlines()
    colorize(dataclasses.replace(config, epochs=1, batch_size=40, name="all"))
    assert "--batch-size" not in capsys.readouterr().err
