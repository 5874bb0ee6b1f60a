import gc
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

from jaxcolor.errors import UserError
from jaxcolor.training.checkpoints import Checkpoints
from jaxcolor.training.freezing import Trainable
from jaxcolor.training.state import TrainState, create_state

OPTIMIZER = optax.adam(0.1)


def state(value: float, width: int = 3) -> TrainState:
    variables = {"params": {"w": jnp.full(width, value)}, "batch_stats": {"mean": jnp.full(2, -value)}}
    return create_state(abs, variables, OPTIMIZER).replace(step=jnp.asarray(value, jnp.int32))


def test_the_latest_and_the_best_are_kept_and_restored(tmp_path: Path) -> None:
    with Checkpoints(tmp_path / "c") as checkpoints:
        for epoch, loss in enumerate([3.0, 1.0, 2.0, 2.5], start=1):
            checkpoints.save(epoch, state(epoch), loss)
        checkpoints.wait()
        assert sorted(p.name for p in (tmp_path / "c").iterdir()) == ["2", "4"]

    with Checkpoints(tmp_path / "c") as again:
        assert (again.epoch("latest"), again.epoch("best")) == (4, 2)
        for which, epoch in (("latest", 4), ("best", 2)):
            restored = again.restore(which, state(0))  # type: ignore[arg-type]
            jax.tree.map(np.testing.assert_array_equal, restored, state(epoch))
            assert int(restored.step) == epoch


def test_a_restored_state_runs_the_programs_of_a_new_one(tmp_path: Path) -> None:
    def new() -> TrainState:
        return create_state(abs, {"params": {"w": jnp.ones(3)}}, OPTIMIZER)

    step: Any = jax.jit(lambda state: state.apply_gradients(grads={"w": jnp.ones(3)}), donate_argnums=0)
    with Checkpoints(tmp_path / "c") as checkpoints:
        checkpoints.save(1, step(new()), 1.0)
        after = step(checkpoints.restore("latest", new()))
        assert step._cache_size() == 1
        jax.tree.map(np.testing.assert_array_equal, after, step(step(new())))
        # Several devices need arrays that are bound to them.
        restored = checkpoints.restore("latest", jax.device_put(new(), jax.devices()[0]))
    assert all(leaf.committed for leaf in jax.tree.leaves(restored))


def test_only_trainable_weights_are_saved_and_the_others_stay(tmp_path: Path) -> None:
    rule = Trainable("head/.*")

    def make(value: float) -> TrainState:
        part = {"w": jnp.full(2, value)}
        return create_state(abs, {"params": {"head": part, "backbone": part}}, OPTIMIZER, rule)

    with Checkpoints(tmp_path / "c", rule) as checkpoints:
        checkpoints.save(1, make(1), 1.0)
    with Checkpoints(tmp_path / "c", rule) as again:
        restored = again.restore("latest", make(7))
        weights = again.restore_weights("best", jax.eval_shape(lambda: make(0).variables))
    np.testing.assert_array_equal(restored.params["head"]["w"], [1, 1])
    np.testing.assert_array_equal(restored.params["backbone"]["w"], [7, 7])
    np.testing.assert_array_equal(weights["params"]["head"]["w"], [1, 1])
    assert isinstance(weights["params"]["backbone"]["w"], jax.ShapeDtypeStruct)


def test_weights_are_the_average_and_a_training_continues_with_both(tmp_path: Path) -> None:
    variables = {"params": {"w": jnp.ones(2)}, "batch_stats": {}}
    start = create_state(abs, variables, OPTIMIZER, decay=0.5)
    trained = start.apply_gradients(grads={"w": jnp.ones(2)})
    with Checkpoints(tmp_path / "c") as checkpoints:
        checkpoints.save(1, trained, 1.0)
    with Checkpoints(tmp_path / "c") as again:
        jax.tree.map(np.testing.assert_array_equal, again.restore("latest", start), trained)
        weights = again.restore_weights("latest", variables)
    np.testing.assert_array_equal(weights["params"]["w"], trained.averaged["params"]["w"])
    assert np.abs(weights["params"]["w"] - trained.params["w"]).max() > 1e-3


def test_no_checkpoint_yet(tmp_path: Path) -> None:
    with Checkpoints(tmp_path / "c") as checkpoints:
        assert checkpoints.epoch("latest") is None
        assert checkpoints.epoch("best") is None
        with pytest.raises(UserError, match="holds no checkpoint"):
            checkpoints.restore("latest", state(0))


# orbax leaves coroutines behind that it never awaits.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_checkpoint_of_another_shape_or_damaged_is_refused(tmp_path: Path) -> None:
    with Checkpoints(tmp_path / "c") as checkpoints:
        checkpoints.save(1, state(1), 1.0)
        with pytest.raises(UserError, match="damaged, or belongs to another network"):
            checkpoints.restore("latest", state(0, width=4))
        for file in (tmp_path / "c" / "1" / "weights").rglob("*"):
            if file.is_file():
                file.write_bytes(b"")
        with pytest.raises(UserError, match="damaged, or belongs to another network"):
            checkpoints.restore("latest", state(0))
    gc.collect()  # now, and not in the next test


def test_an_unfinished_checkpoint_does_not_count(tmp_path: Path) -> None:
    with Checkpoints(tmp_path / "c") as checkpoints:
        checkpoints.save(1, state(1), 1.0)
    # orbax leaves such a folder when it is killed while it writes.
    (tmp_path / "c" / "2.orbax-checkpoint-tmp").mkdir()
    with Checkpoints(tmp_path / "c") as again:
        assert again.epoch("latest") == 1
        again.save(2, state(2), 0.5)
        assert (again.epoch("latest"), again.epoch("best")) == (2, 2)


def test_a_run_is_read_while_it_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Checkpoints(tmp_path / "c") as training:
        training.save(1, state(1), 1.0)
        training.wait()
        with Checkpoints(tmp_path / "c") as reader:
            assert reader.epoch("latest") == 1
            training.save(2, state(2), 0.5)
            training.wait()
            assert not (tmp_path / "c" / "1").exists()
            restored = reader.restore("latest", state(0))
            assert (int(restored.step), reader.epoch("latest")) == (2, 2)

    # A checkpoint is deleted while the manager lists them all.
    manager, errors = ocp.CheckpointManager, [FileNotFoundError(2, "No such file")]

    def lists_late(*args: Any, **kwargs: Any) -> ocp.CheckpointManager:
        if errors:
            raise errors.pop()
        return manager(*args, **kwargs)

    monkeypatch.setattr(ocp, "CheckpointManager", lists_late)
    with Checkpoints(tmp_path / "c") as reader:
        assert reader.epoch("latest") == 2
    assert not errors


def test_a_training_that_stops_waits_for_its_last_checkpoint(tmp_path: Path) -> None:
    def train() -> None:
        with Checkpoints(tmp_path / "c") as checkpoints:
            checkpoints.save(1, state(1), 1.0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train()
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["1"]


def test_an_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot"):
        Checkpoints(tmp_path / "file" / "c").save(1, state(1), 1.0)
