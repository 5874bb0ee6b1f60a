"""Checkpoints with orbax: the latest one, from which a run resumes, and the best one by a metric.

Each checkpoint has two items: `weights`, the trainable parameters and running averages, and `training`, the
step and the state of the optimizer. Prediction reads the first alone. Of a training that averages its weights
over the steps, `weights` has the average, and `training` also the weights themselves.

In a long epoch there is one more, from which a run resumes in the middle of the epoch.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from flax.traverse_util import flatten_dict, unflatten_dict
from orbax.checkpoint import checkpoint_managers

from jaxcolor.errors import UserError, reason
from jaxcolor.training.freezing import EVERYTHING, Trainable
from jaxcolor.training.history import VAL_LOSS, merit
from jaxcolor.training.run_folder import Which
from jaxcolor.training.state import TrainState

RESTORE_ERRORS = (OSError, ValueError, KeyError, TypeError)


class Position(NamedTuple):
    """A place within an epoch."""

    epoch: int
    steps: int  # that are done
    totals: dict[str, float]  # the sums over them


class Checkpoints:
    """The checkpoints of one run, one folder per epoch. Each is complete or does not exist.

    Use it in a `with` statement, which waits at its end until the last checkpoint is written. Other processes
    may read a run that trains. `metric` is the one by which a checkpoint is the best: the setting `best`
    of the run.
    """

    def __init__(self, folder: Path, trainable: Trainable = EVERYTHING, metric: str = VAL_LOSS):
        self.folder = folder.absolute()
        self.trainable = trainable
        self.metric = metric
        policies = checkpoint_managers
        options = ocp.CheckpointManagerOptions(
            best_fn=self._merit,
            best_mode="max",
            preservation_policy=policies.AnyPreservationPolicy(
                [policies.LatestN(1), policies.BestN(get_metric_fn=self._merit, n=1)]
            ),
            enable_async_checkpointing=True,
        )
        try:
            self._manager = _open(self.folder, options, ("weights", "training"))
        except OSError as error:
            raise UserError(f"cannot use the folder {self.folder}: {reason(error)}") from error
        self._within: ocp.CheckpointManager | None = None

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind and jax.process_count() > 1:
            return  # the process ends, and the others may have ended already: closing would wait for them
        with self._writing():
            self._manager.close()
            if self._within:
                self._within.close()

    def save(self, epoch: int, state: TrainState, value: float) -> None:
        """Start to save the state after `epoch`, on a thread. The arrays are copied before this returns.

        `value` is that of the metric. The checkpoint before is deleted afterwards, unless it is the best.
        Raises `UserError` as `wait` does.
        """
        args = ocp.args.Composite(
            weights=ocp.args.StandardSave(self._weights(state.averaged)),
            training=ocp.args.StandardSave(self._training(state)),
        )
        with self._writing():
            self._manager.save(epoch, args=args, metrics={self.metric: value})

    def wait(self) -> None:
        """Wait until the checkpoint is complete. Raises `UserError` if it cannot be written."""
        with self._writing():
            self._manager.wait_until_finished()

    def save_within(self, position: Position, state: TrainState) -> None:
        """Start to save the state in the middle of an epoch, in place of the one before in that epoch."""
        args = ocp.args.Composite(
            weights=ocp.args.StandardSave(self._weights(state.averaged)),
            training=ocp.args.StandardSave(self._training(state)),
            position=ocp.args.JsonSave(position._asdict()),
        )
        with self._writing(self._within_folder):
            self._within_manager().save(int(state.step), args=args)

    def position(self) -> Position | None:
        """Return where a run that was interrupted within an epoch resumes, or None."""
        if not self._within_folder.exists():
            return None
        try:
            if not self._within_folder.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            manager = self._within_manager()
            step = manager.latest_step()
            if step is None:
                return None
            found = manager.restore(step, args=ocp.args.Composite(position=ocp.args.JsonRestore()))
            position = Position(**found["position"])
        except RESTORE_ERRORS as error:
            raise UserError(
                f"{self._within_folder} is damaged ({reason(error)}): delete it to repeat the epoch"
            ) from error
        return position if position.epoch == (self.epoch("latest") or 0) + 1 else None

    def restore_within(self, state: TrainState) -> TrainState:
        """Return `state` as it was saved at `position`. Raises `UserError` if the checkpoint is damaged."""
        manager = self._within_manager()
        items = {"weights": self._weights(state.averaged), "training": self._training(state)}
        args = {name: ocp.args.StandardRestore(item) for name, item in items.items()}
        try:
            restored = manager.restore(manager.latest_step(), args=ocp.args.Composite(**args))
        except RESTORE_ERRORS as error:
            raise UserError(
                f"{self._within_folder} is damaged ({reason(error)}): delete it to repeat the epoch"
            ) from error
        return self._filled(state, placed_like(restored, items))

    def forget_within(self) -> None:
        """Delete what was saved within an epoch, after the epoch itself is saved."""
        if self._within:
            self._within.wait_until_finished()
            for step in self._within.all_steps():
                self._within.delete(step)

    @property
    def _within_folder(self) -> Path:
        return self.folder.with_name("within-epoch")

    def _within_manager(self) -> ocp.CheckpointManager:
        if not self._within:
            options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=True)
            self._within = _open(self._within_folder, options, ("weights", "training", "position"))
        return self._within

    def epoch(self, which: Which) -> int | None:
        """Return the epoch of the latest or best checkpoint, or None if there is none yet."""
        return self._manager.latest_step() if which == "latest" else self._manager.best_step()

    def restore(self, which: Which, state: TrainState) -> TrainState:
        """Return `state` as it was saved. Raises `UserError` if the checkpoint is damaged or does not fit."""
        restored = self._restore(which, weights=self._weights(state.averaged), training=self._training(state))
        return self._filled(state, restored)

    def _filled(self, state: TrainState, restored: Any) -> TrainState:
        """Return `state` with what was saved of it."""
        training = restored["training"]
        averaged = self._complete(state.averaged, restored["weights"])
        if state.average is None:
            return state.replace(**training, **averaged)
        variables = self._complete(state.variables, training.pop("variables"))
        return state.replace(**training, **variables, average=averaged)

    def restore_weights(self, which: Which, variables: dict[str, Any]) -> dict[str, Any]:
        """Return `variables`, arrays or their shapes, with the saved leaves."""
        restored = self._restore(which, weights=self._weights(variables))
        return self._complete(variables, restored["weights"])

    def _merit(self, metrics: dict[str, float]) -> float:
        return merit(metrics[self.metric], self.metric)

    @contextlib.contextmanager
    def _writing(self, folder: Path | None = None) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            where = folder or self.folder
            raise UserError(f"cannot write a checkpoint into {where}: {cause(error)}") from error

    def _restore(self, which: Which, **items: Any) -> Any:
        epoch = self.epoch(which)
        if epoch is None:
            raise UserError(f"{self.folder} holds no checkpoint: train first")
        args = {name: ocp.args.StandardRestore(item) for name, item in items.items()}
        try:
            restored = self._manager.restore(epoch, args=ocp.args.Composite(**args))
        except RESTORE_ERRORS as error:
            if not (self.folder / str(epoch)).exists():  # the process that trains has replaced it
                self._manager.reload()
                return self._restore(which, **items)
            raise UserError(
                f"cannot restore the checkpoint {self.folder / str(epoch)}: "
                f"it is damaged, or belongs to another network ({reason(error)})"
            ) from error
        return placed_like(restored, items)

    def _training(self, state: TrainState) -> dict[str, Any]:
        """Return what a training needs to resume, besides the weights for prediction."""
        training = {"step": state.step, "opt_state": state.opt_state}
        return training if state.average is None else training | {"variables": self._weights(state.variables)}

    def _weights(self, variables: dict[str, Any]) -> dict[str, Any]:
        """Return the trainable leaves of both collections."""
        leaves = flatten_dict(variables)
        return unflatten_dict({path: leaf for path, leaf in leaves.items() if self.trainable(path[1:])})

    def _complete(self, variables: dict[str, Any], weights: dict[str, Any]) -> dict[str, Any]:
        leaves = unflatten_dict(flatten_dict(variables) | flatten_dict(weights))
        return {name: leaves.get(name, {}) for name in ("params", "batch_stats")}


def _open(
    folder: Path, options: ocp.CheckpointManagerOptions, items: tuple[str, ...], attempts: int = 5
) -> ocp.CheckpointManager:
    """Return orbax's manager. It fails if another process deletes a checkpoint while it lists them."""
    try:
        return ocp.CheckpointManager(folder, options=options, item_names=items)
    except FileNotFoundError:
        if attempts == 1:
            raise
        return _open(folder, options, items, attempts - 1)


def cause(error: Exception) -> str:
    """Return the system's error in a message of tensorstore, which is several hundred characters long."""
    codes = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO)
    causes = [os.strerror(code) for code in codes if os.strerror(code) in str(error)]
    return causes[0] if causes else reason(error)


def placed_like(restored: Any, items: dict[str, Any]) -> dict[str, Any]:
    """Return restored arrays, bound to a device only where those of `items` are, which they replace.

    Orbax binds every array. JAX compiles a program again for arrays that are bound where those of its first
    call were not.
    """
    return {name: jax.tree.map(_placed_like, restored[name], item) for name, item in items.items()}


def _placed_like(found: Any, wanted: Any) -> Any:
    if not isinstance(found, jax.Array) or getattr(wanted, "committed", False):
        return found
    return jnp.array(np.asarray(found))
