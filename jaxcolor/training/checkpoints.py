"""Checkpoints with orbax: the latest one, from which a run resumes, and the best one."""

from pathlib import Path
from typing import Any, Literal

import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from jaxcolor.errors import UserError, reason
from jaxcolor.training.state import TrainState

Which = Literal["latest", "best"]
METRIC = "val_loss"


class Checkpoints:
    """The checkpoints of one run, a folder an epoch; each is complete or not there."""

    def __init__(self, folder: Path):
        self.folder = folder.absolute()
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
            self._manager.save(epoch, args=ocp.args.StandardSave(_tree(state)), metrics={METRIC: val_loss})
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
            tree = self._manager.restore(epoch, args=ocp.args.StandardRestore(_tree(state)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"cannot restore the checkpoint {self.folder / str(epoch)}: "
                "it is damaged, or of another model"
            ) from error
        return state.replace(**tree)

    def close(self) -> None:
        self._manager.close()


def _tree(state: TrainState) -> dict[str, Any]:
    return {
        "step": state.step,
        "params": state.params,
        "batch_stats": state.batch_stats,
        "opt_state": state.opt_state,
    }
