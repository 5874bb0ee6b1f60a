import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcolor.errors import UserError
from jaxcolor.training.batches import make_batches
from jaxcolor.training.checkpoints import Checkpoints, Position
from jaxcolor.training.engine import Engine, Midway, OnStep
from jaxcolor.training.fit import Draw, Evaluation, Plan, describe, fit
from jaxcolor.training.run_folder import RunFolder
from jaxcolor.training.state import TrainState, create_state
from jaxcolor.training.timing import Timing


class Stopped(BaseException):
    """A kill."""


class Counting:
    """A task whose weight counts the epochs, and which records what `fit` asks of it."""

    images = 10

    def __init__(self, run: RunFolder, evaluates_first: bool = False):
        self.run = run
        self.evaluates_first = evaluates_first
        self.calls: list[str] = []
        self.loss = 1.0

    def train_epoch(
        self, state: TrainState, epoch: int, on_step: OnStep, midway: Midway
    ) -> tuple[TrainState, dict[str, float]]:
        self.calls.append(f"train {epoch}")
        on_step(10, {"loss": 10 * self.loss, "count": 10.0})
        state = state.replace(params={"w": state.params["w"] + 1})
        return state, {"train_loss": self.loss}

    def evaluate(self, state: TrainState) -> Evaluation:
        self.calls.append("evaluate")
        return Evaluation({"val_loss": 1 / (1 + float(state.params["w"]))}, details="seen")

    def draw(
        self, state: TrainState, epoch: int, history: list[dict[str, Any]], evaluation: Evaluation, last: bool
    ) -> list[Draw]:
        logged = [metrics["epoch"] for metrics in history]
        assert self.run.read_metrics()[-1]["epoch"] == logged[-1] == epoch
        assert evaluation.details == "seen"
        assert epoch == 1 or Checkpoints(self.run.checkpoints).epoch("latest") in (epoch - 1, epoch)
        self.calls.append(f"predict {epoch}")
        return [lambda: self.calls.append(f"draw {epoch}, last {last}")]


class Stalling(Counting):
    """A task whose loss is lowest after epoch 2."""

    def evaluate(self, state: TrainState) -> Evaluation:
        self.calls.append("evaluate")
        return Evaluation({"val_loss": 1 + abs(float(state.params["w"]) - 2)}, details="seen")


def start(
    task: Counting, epochs: int, patience: int | None = None, save_steps: int | None = None
) -> tuple[float, dict[str, float]]:
    state = create_state(abs, {"params": {"w": jnp.zeros(())}}, optax.sgd(1.0))
    with Checkpoints(task.run.checkpoints) as checkpoints:
        plan = Plan(epochs, patience, save_steps)
        state, evaluation = fit(task, state, task.run, checkpoints, plan, Timing("start"))
    return float(state.params["w"]), evaluation.metrics


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.create({"task": "test", "settings": {}})
    return folder


def test_an_epoch_is_drawn_beside_the_next_one(run: RunFolder) -> None:
    task = Counting(run)
    assert start(task, 3) == (3, {"val_loss": 1 / 4})
    steps = [call for call in task.calls if not call.startswith("draw")]
    assert steps == [step for n in (1, 2, 3) for step in (f"train {n}", "evaluate", f"predict {n}")]
    drawn = [f"draw {epoch}, last {epoch == 3}" for epoch in (1, 2, 3)]
    assert [call for call in task.calls if call.startswith("draw")] == drawn
    for epoch in (1, 2):  # a drawing is complete before the next one begins
        assert task.calls.index(drawn[epoch - 1]) < task.calls.index(f"predict {epoch + 1}")
    assert [m["epoch"] for m in run.read_metrics()] == [1, 2, 3]


def test_epoch_0_is_the_evaluation_before_any_training(run: RunFolder) -> None:
    start(Counting(run, evaluates_first=True), 1)
    assert [(m["epoch"], m["val_loss"]) for m in run.read_metrics()] == [(0, 1.0), (1, 0.5)]
    assert "train_loss" not in run.read_metrics()[0]


def test_a_drawing_that_fails_is_a_warning(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*args: object) -> None:
        raise KeyError("__call__")

    task = Counting(run)
    monkeypatch.setattr(task, "draw", fail)
    assert start(task, 2)[0] == 2
    assert capsys.readouterr().err.splitlines() == [
        "warning: cannot draw epoch 1: '__call__'", "warning: cannot draw epoch 2: '__call__'"
    ]  # fmt: skip


def test_a_run_that_was_stopped_while_drawing_draws_the_epoch_again(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: object) -> None:
        raise Stopped

    task = Counting(run)
    with monkeypatch.context() as patch:
        patch.setattr(task, "draw", stop)
        with pytest.raises(Stopped):
            start(task, 2)
    resumed = Counting(run)
    assert start(resumed, 2)[0] == 2
    assert resumed.calls[:2] == ["evaluate", "predict 1"]
    assert resumed.calls.index("draw 1, last False") < resumed.calls.index("predict 2")


def test_a_finished_run_is_only_evaluated_and_drawn(run: RunFolder) -> None:
    start(Counting(run), 2)
    before = run.metrics_file.read_text()
    task = Counting(run)
    assert start(task, 2) == (2, {"val_loss": 1 / 3})
    assert task.calls == ["evaluate", "predict 2", "draw 2, last True"]
    assert run.metrics_file.read_text() == before
    with pytest.raises(UserError, match="has trained 2 epochs already: --epochs must be at least 2"):
        start(Counting(run), 1)


@pytest.mark.parametrize(("patience", "last"), [(1, 3), (3, 5), (9, 8), (None, 8)])
def test_training_stops_without_a_lower_loss(
    run: RunFolder, capsys: pytest.CaptureFixture[str], patience: int | None, last: int
) -> None:
    task = Stalling(run, evaluates_first=True)
    assert start(task, 8, patience)[0] == last
    assert f"draw {last}, last True" in task.calls
    assert sum("last True" in call for call in task.calls) == 1
    said = f"Stopped after {patience} epochs without a lower validation loss" in capsys.readouterr().out
    assert said == (last < 8)
    # A run that has stopped is finished. With more patience it goes on.
    resumed = Stalling(run, evaluates_first=True)
    assert start(resumed, 8, patience)[0] == last
    assert f"train {last + 1}" not in resumed.calls
    assert start(Stalling(run, evaluates_first=True), 8)[0] == 8


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_run_with_advice(run: RunFolder, loss: float) -> None:
    task = Counting(run)
    task.loss = loss
    with pytest.raises(UserError, match=r"loss became (nan|inf) in epoch 1: start again with a lower"):
        start(task, 2)
    task.loss = 1.0
    start(task, 1)
    task.loss = loss
    with pytest.raises(UserError, match=r"after epoch 1 is kept; start a new run from it with"):
        start(task, 2)


def test_metrics_without_their_checkpoint_are_refused(run: RunFolder) -> None:
    start(Counting(run), 1)
    with open(run.metrics_file, "a") as file:
        file.write(json.dumps({"epoch": 3, "val_loss": 1.0}) + "\n")
    with pytest.raises(UserError, match="has the metrics of 3 epochs but no checkpoint"):
        start(Counting(run), 4)


def test_the_line_of_an_epoch() -> None:
    metrics = {"epoch": 3, "train_loss": 1.61234, "val_loss": 2.0, "val_accuracy": 0.5, "seconds": 5.26}
    expected = "epoch  3/25  train_loss 1.6123  val_loss 2.0000  val_accuracy 0.5000  5.3 s"
    assert describe(metrics, epochs=25) == expected


class Stepping(Counting):
    """A task with eight steps per epoch, each of which adds the number of its image to the weight."""

    images = 8

    def __init__(self, run: RunFolder, killed_at: int | None = None):
        super().__init__(run)
        self.killed_at = killed_at
        self.steps = 0

        def step(state: TrainState, batch: dict[str, Any]) -> tuple[TrainState, dict[str, Any]]:
            number = batch["number"][0].astype(jnp.float32)
            moved = state.replace(step=state.step + 1, params={"w": state.params["w"] * 1.1 + number})
            return moved, {"loss": state.params["w"] / 3, "count": jnp.ones(())}

        self.engine = Engine(step, steps=1)

    def train_epoch(
        self, state: TrainState, epoch: int, on_step: OnStep, midway: Midway
    ) -> tuple[TrainState, dict[str, float]]:
        def count(images: int, sums: dict[str, Any]) -> None:
            self.steps += 1
            if self.steps == self.killed_at:
                raise Stopped
            on_step(images, sums)

        order = np.random.default_rng(epoch).permutation(8)
        batches, data = make_batches(order, 1).after(midway.steps), {"number": jnp.arange(8)}
        state, sums = self.engine(state, batches, data, count, midway)
        return state, {"train_loss": float(sums["loss"] / sums["count"])}

    def evaluate(self, state: TrainState) -> Evaluation:
        return Evaluation({"val_loss": float(state.params["w"])}, details="seen")


def seen(run: RunFolder) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k != "seconds"} for line in run.read_metrics()]


@pytest.mark.parametrize(("killed_at", "repeated"), [(5, 1), (9, 1), (16, 2), (23, 1)])
def test_a_run_that_is_killed_within_an_epoch_goes_on_there(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str], killed_at: int, repeated: int
) -> None:
    other = RunFolder(tmp_path / "whole")
    other.create({"task": "test", "settings": {}})
    whole = start(Stepping(other), 3)

    with pytest.raises(Stopped):
        start(Stepping(run, killed_at), 3, save_steps=3)
    resumed = Stepping(run)
    assert start(resumed, 3, save_steps=3) == whole
    assert seen(run) == seen(other)
    # The steps since the last save, and up to two that were in flight, are repeated.
    assert 24 - killed_at < resumed.steps <= 24 - killed_at + repeated + 3
    if killed_at == 5:
        assert "Resuming in epoch 1 of 3, after 3 steps" in capsys.readouterr().out
    with Checkpoints(run.checkpoints) as checkpoints:
        assert checkpoints.position() is None  # nothing is left of it after the end


def test_what_was_saved_within_an_earlier_epoch_is_not_used(run: RunFolder) -> None:
    state = create_state(abs, {"params": {"w": jnp.zeros(())}}, optax.sgd(1.0)).replace(step=jnp.asarray(99))
    with Checkpoints(run.checkpoints) as checkpoints:
        checkpoints.save_within(Position(7, 3, {"loss": 1.0, "count": 1.0}), state)
    task = Stepping(run)
    start(task, 2, save_steps=3)
    assert task.steps == 16


@pytest.mark.parametrize("text", ["{", "null", '{"epoch": 1, "step": 3}'])
def test_a_damaged_save_within_an_epoch_is_an_error(run: RunFolder, text: str) -> None:
    with pytest.raises(Stopped):
        start(Stepping(run, 7), 3, save_steps=3)
    (file,) = run.path.glob("within-epoch/*/position/metadata")
    file.write_text(text)
    with pytest.raises(UserError, match="within-epoch is damaged .*: delete it to repeat the epoch"):
        start(Stepping(run), 3)


def test_a_file_in_the_place_of_the_saves_within_an_epoch_is_an_error(run: RunFolder) -> None:
    (run.path / "within-epoch").write_text("")
    with pytest.raises(UserError, match="within-epoch is damaged .*: delete it to repeat the epoch"):
        start(Stepping(run), 3)
