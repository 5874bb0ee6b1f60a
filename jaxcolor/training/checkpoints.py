"""Checkpoints with orbax: the latest one, from which a run resumes, and the best one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from jaxcolor.errors import UserError, reason
from jaxcolor.training.state import TrainState
from jaxcolor.trees import flatten, unflatten

Which = Literal["latest", "best"]
METRIC = "val_loss"


class Checkpoints:
    """The checkpoints of one run, a folder an epoch; each is complete or not there."""

    def __init__(self, folder: Path, is_kept: Callable[[tuple[str, ...]], bool] = lambda path: True):
        """`is_kept` says of each parameter and statistic whether it is saved; others are not restored."""
        self.folder = folder.absolute()
        self._is_kept = is_kept
        policies = checkpoint_managers
        options = ocp.CheckpointManagerOptions(
            best_fn=lambda metrics: metrics[METRIC],
            best_mode="min",
            preservation_policy=policies.AnyPreservationPolicy(
                [policies.LatestN(1), policies.BestN(get_metric_fn=lambda m: -m[METRIC], n=1)]
            ),
            enable_async_checkpointing=False,
        )
        try:
            self._manager = ocp.CheckpointManager(self.folder, options=options)
        except OSError as error:
            raise UserError(f"cannot use the folder {self.folder}: {reason(error)}") from error

    def save(self, epoch: int, state: TrainState, val_loss: float) -> None:
        """Keep the state after `epoch`; an older one stays only if it is the best."""
        try:
            self._manager.save(
                epoch, args=ocp.args.StandardSave(self._tree(state)), metrics={METRIC: val_loss}
            )
        except (OSError, ValueError) as error:
            raise UserError(f"cannot write a checkpoint into {self.folder}: {reason(error)}") from error

    def epoch(self, which: Which) -> int | None:
        """The epoch of the latest or best checkpoint; None where there is none yet."""
        return self._manager.latest_step() if which == "latest" else self._manager.best_step()

    def restore(self, which: Which, state: TrainState) -> TrainState:
        """The state of a checkpoint; `state` says what it is made of. `UserError` where it does not fit."""
        epoch = self.epoch(which)
        if epoch is None:
            raise UserError(f"{self.folder} holds no checkpoint: train first")
        try:
            tree = self._manager.restore(epoch, args=ocp.args.StandardRestore(self._tree(state)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"cannot restore the checkpoint {self.folder / str(epoch)}: "
                "it is damaged, or of another model"
            ) from error
        params, statistics = (
            unflatten(flatten(getattr(state, name)) | flatten(tree[name]))
            for name in ("params", "batch_stats")
        )
        return state.replace(**(tree | {"params": params, "batch_stats": statistics}))

    def close(self) -> None:
        self._manager.close()

    def _tree(self, state: TrainState) -> dict[str, Any]:
        return {
            "step": state.step,
            "params": self._kept(state.params),
            "batch_stats": self._kept(state.batch_stats),
            "opt_state": state.opt_state,
        }

    def _kept(self, tree: Any) -> dict[str, Any]:
        return unflatten({path: leaf for path, leaf in flatten(tree).items() if self._is_kept(path)})
