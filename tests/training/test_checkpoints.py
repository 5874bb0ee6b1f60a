import gc
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
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
    checkpoints = Checkpoints(tmp_path / "c")
    for epoch, loss in enumerate([3.0, 1.0, 2.0, 2.5], start=1):
        checkpoints.save(epoch, state(epoch), loss)
    checkpoints.wait()
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == ["2", "4"]
    checkpoints.close()

    again = Checkpoints(tmp_path / "c")
    assert (again.epoch("latest"), again.epoch("best")) == (4, 2)
    for which, epoch in (("latest", 4), ("best", 2)):
        restored = again.restore(which, state(0))  # type: ignore[arg-type]
        jax.tree.map(np.testing.assert_array_equal, restored, state(epoch))
        assert int(restored.step) == epoch
    again.close()


def test_only_trainable_weights_are_saved_and_the_others_stay(tmp_path: Path) -> None:
    rule = Trainable("head/.*")

    def make(value: float) -> TrainState:
        part = {"w": jnp.full(2, value)}
        return create_state(abs, {"params": {"head": part, "backbone": part}}, OPTIMIZER, rule)

    checkpoints = Checkpoints(tmp_path / "c", rule)
    checkpoints.save(1, make(1), 1.0)
    checkpoints.close()
    again = Checkpoints(tmp_path / "c", rule)
    restored = again.restore("latest", make(7))
    np.testing.assert_array_equal(restored.params["head"]["w"], [1, 1])
    np.testing.assert_array_equal(restored.params["backbone"]["w"], [7, 7])
    shapes = jax.eval_shape(lambda: make(0).variables)
    weights = again.restore_weights("best", shapes)
    np.testing.assert_array_equal(weights["params"]["head"]["w"], [1, 1])
    assert isinstance(weights["params"]["backbone"]["w"], jax.ShapeDtypeStruct)
    again.close()


def test_weights_are_the_average_and_a_training_continues_with_both(tmp_path: Path) -> None:
    variables = {"params": {"w": jnp.ones(2)}, "batch_stats": {}}
    start = create_state(abs, variables, OPTIMIZER, decay=0.5)
    trained = start.apply_gradients(grads={"w": jnp.ones(2)})
    checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.save(1, trained, 1.0)
    checkpoints.close()
    again = Checkpoints(tmp_path / "c")
    jax.tree.map(np.testing.assert_array_equal, again.restore("latest", start), trained)
    weights = again.restore_weights("latest", variables)
    np.testing.assert_array_equal(weights["params"]["w"], trained.averaged["params"]["w"])
    assert np.abs(weights["params"]["w"] - trained.params["w"]).max() > 1e-3
    again.close()


def test_no_checkpoint_yet(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "c")
    assert checkpoints.epoch("latest") is None
    assert checkpoints.epoch("best") is None
    with pytest.raises(UserError, match="holds no checkpoint"):
        checkpoints.restore("latest", state(0))


# orbax leaves coroutines behind that it never awaits.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_checkpoint_of_another_shape_or_damaged_is_refused(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "c")
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
    checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.save(1, state(1), 1.0)
    checkpoints.close()
    # orbax leaves such a folder when it is killed while it writes.
    (tmp_path / "c" / "2.orbax-checkpoint-tmp").mkdir()
    again = Checkpoints(tmp_path / "c")
    assert again.epoch("latest") == 1
    again.save(2, state(2), 0.5)
    assert (again.epoch("latest"), again.epoch("best")) == (2, 2)


def test_an_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot"):
        Checkpoints(tmp_path / "file" / "c").save(1, state(1), 1.0)
