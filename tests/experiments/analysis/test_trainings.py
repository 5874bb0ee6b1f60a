import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_network
from analysis import trainings
from analysis.trainings import Trainer, Training, describe, gradient_norms

from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.colorization.data import Dataset
from jaxcolor.colorization.job import ColorizeJob
from jaxcolor.colorization.task import train_step
from jaxcolor.errors import UserError
from jaxcolor.layers.losses import plain_cross_entropy
from jaxcolor.training.engine import Engine
from jaxcolor.training.run_folder import RunFolder

# Three steps an epoch, the last one padded; looked at after 2 of them, too, and after 3 and 6.
TINY = Training(tiny_network.NAME, batch_size=30, seed=0, epochs=2, updates=2)


@pytest.fixture(scope="module", autouse=True)
def tiny() -> Iterator[None]:
    """Let trainings also use the tiny network."""
    with tiny_network.installed():
        yield


def seeds(count: int) -> list[Training]:
    return [dataclasses.replace(TINY, seed=seed) for seed in range(count)]


def assert_close(one: Any, other: Any, tolerance: float = 1e-4) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), one, other)


def test_marks_are_the_ends_of_epochs_and_the_updates_asked_for() -> None:
    assert TINY.marks(steps=3) == [2, 3, 6]
    assert dataclasses.replace(TINY, updates=7).marks(steps=3) == [3, 6, 7]


def test_a_training_is_what_colorize_does(trainer: Trainer, images: Dataset, tmp_path: Path) -> None:
    (trained,) = trainer.train([TINY])
    assert [entry["update"] for entry in trained.history] == [0, 2, 3, 6]
    assert trained.after(epoch=2) is trained.history[-1]
    assert trained.after(update=2) is trained.history[1]
    config = ColorizeConfig(model=tiny_network.NAME, batch_size=30, epochs=2, colors=len(trainer.palette))
    job = ColorizeJob(config, images, trainer.palette, RunFolder(tmp_path))
    state = job.initial_state
    for epoch in (1, 2):
        state, _ = job.train_epoch(state, epoch, lambda images, loss: None)
        assert job.evaluate(state).metrics["val_loss"] == pytest.approx(
            trained.after(epoch=epoch)["val_loss"], rel=1e-5
        )
    assert_close(state.variables, trained.variables)


def test_more_updates_than_epochs_change_neither_curve_nor_weights(trainer: Trainer) -> None:
    """Six updates are two epochs; what is asked for after the first one is of the first one."""
    short = dataclasses.replace(TINY, epochs=1)
    (one,), (more,) = trainer.train([short]), trainer.train([dataclasses.replace(short, updates=6)])
    assert [entry["update"] for entry in more.history] == [0, 3, 6]
    assert [entry["epoch"] for entry in more.by_epoch(1)] == [0, 1]
    assert more.by_epoch(1)[-1]["val_loss"] == pytest.approx(one.by_epoch(1)[-1]["val_loss"], rel=1e-5)
    assert_close(one.variables, more.variables)


def test_seeds_share_their_program(trainer: Trainer) -> None:
    (first,) = trainer.train(seeds(1))
    programs = trainer._step._run.jitted._cache_size()
    second = trainer.train(seeds(2))[1]
    assert first.history[-1]["val_loss"] != second.history[-1]["val_loss"]
    assert trainer._step._run.jitted._cache_size() == programs > 0


def test_seeds_together_are_seeds_one_by_one(trainer: Trainer, images: Dataset, tmp_path: Path) -> None:
    together = Trainer(images, trainer.palette, tmp_path, together=True)
    for one, other in zip(together.train(seeds(3)), trainer.train(seeds(3)), strict=True):
        assert_close(one[:2], other[:2], tolerance=1e-3)
    assert together._step._run.jitted._cache_size() == 0


def test_what_is_done_is_not_done_again(
    images: Dataset, trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the second training, only that one is trained when it goes on."""
    run, calls = Trainer._run, []

    def stop_at_second(self: Trainer, group: list, progress: object) -> None:
        calls.append(group[0].seed)
        if len(calls) == 2:
            raise KeyboardInterrupt
        run(self, group, progress)  # type: ignore[arg-type]

    monkeypatch.setattr(Trainer, "_run", stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        Trainer(images, trainer.palette, tmp_path).train(seeds(2))
    calls += [-1]
    again = Trainer(images, trainer.palette, tmp_path)
    trained = again.train(seeds(2))
    assert calls == [0, 1, -1, 1]
    for one, other in zip(trained, trainer.train(seeds(2)), strict=True):
        assert_close(one[:2], other[:2])
    assert again.used == {t.file_name: one.seconds for t, one in zip(seeds(2), trained, strict=True)}


def test_changed_inputs(trainer: Trainer) -> None:
    np.testing.assert_allclose(
        trainer.data("train", 2, 1)["inputs"], 2 * trainer.data("train")["inputs"] + 1, rtol=1e-6
    )
    changed = dataclasses.replace(TINY, multiply=-2.0, add=0.5)
    assert trainer.train([changed])[0].history[-1] != trainer.train([TINY])[0].history[-1]
    assert describe(changed) == "tiny, batch 30, seed 0, on −2x + 0.5"
    assert describe(dataclasses.replace(TINY, model="cnn", add=-1.0)) == "CNN, batch 30, seed 0, on x − 1"


def test_a_damaged_file_is_named(trainer: Trainer, images: Dataset, tmp_path: Path) -> None:
    (tmp_path / TINY.file_name).write_bytes(b"PK\x03\x04 half of it")
    with pytest.raises(UserError, match="npz is damaged"):
        Trainer(images, trainer.palette, tmp_path).train([TINY])


def test_inputs_that_are_too_large_are_an_error(trainer: Trainer, images: Dataset, tmp_path: Path) -> None:
    wild = dataclasses.replace(TINY, multiply=1e38)
    with pytest.raises(UserError, match=r"the training loss .* became"):
        Trainer(images, trainer.palette, tmp_path).train([wild])
    assert not list(tmp_path.iterdir())


def test_gradient_norms_are_those_of_the_plain_loss(trainer: Trainer) -> None:
    state = trainer.initial_state("cnn", 0)
    data = {name: array[:10] for name, array in trainer.data("train").items()}

    def loss(params: dict) -> jax.Array:
        logits, _ = state.apply_fn(
            state.variables | {"params": params}, data["inputs"], train=True, mutable=["batch_stats"]
        )
        return plain_cross_entropy(logits, data["labels"], jnp.full(10, 0.1))

    gradients = jax.jit(jax.grad(loss))(state.params)
    expected = {name: np.linalg.norm(gradients[name]["conv"]["kernel"]) for name in ("layer1", "layer4")}
    expected["layer6"] = np.linalg.norm(gradients["layer6"]["kernel"])
    found = jax.jit(gradient_norms)(state, data | {"valid": None})
    assert list(found) == [f"layer{i}" for i in range(1, 7)]
    for name, norm in expected.items():
        assert found[name] == pytest.approx(norm, rel=1e-3)


def test_stacking_is_for_gpus(images: Dataset, trainer: Trainer, tmp_path: Path) -> None:
    assert not trainer.together
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainings.jax, "default_backend", lambda: "gpu")
        assert Trainer(images, trainer.palette, tmp_path).together


def test_a_stack_of_states_compiles_for_cuda(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU runs: many steps a call, each of all seeds at once."""
    states = [trainer.initial_state("unet", seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    runner = Engine(jax.vmap(train_step))
    indices = np.zeros((runner.steps, 3, 5), np.int32)
    rows = {"indices": indices, "valid": None}
    exported = jax.export.export(runner._run_many.jitted, platforms=["cuda"])(
        stacked, trainer.data("train"), rows
    )
    program = exported.mlir_module()
    assert "stablehlo.while" in program
    # The three kernels of a layer, one behind the other, are groups of one convolution.
    assert "feature_group_count = 3" in program
