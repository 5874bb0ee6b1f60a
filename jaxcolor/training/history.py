"""The metrics of a run's epochs, read as a whole: which epoch was the best."""

from collections.abc import Mapping, Sequence
from typing import Any

History = Sequence[Mapping[str, Any]]  # the metrics of each epoch, in order; epoch 0 is before any training


def best_epoch(history: History) -> int:
    """Return the epoch with the lowest validation loss, whose checkpoint is the best. The last of equals."""
    trained = [metrics for metrics in history if metrics["epoch"] > 0]
    return min(trained, key=lambda metrics: (metrics["val_loss"], -metrics["epoch"]))["epoch"]


def has_stalled(history: History, patience: int | None) -> bool:
    """Return whether the loss was not below its lowest value in the last `patience` epochs. None: never."""
    if patience is None or not any(metrics["epoch"] > 0 for metrics in history):
        return False
    return history[-1]["epoch"] - best_epoch(history) >= patience


def describe_best(history: History, epoch: int) -> str | None:
    """Return a sentence on the best epoch of a run, whose scores after `epoch` are shown.

    Return None if the last epoch is the best.
    """
    last, best = history[-1]["epoch"], best_epoch(history)
    if best == last:
        return None
    if epoch == best:
        return f"These scores are those after epoch {epoch} of {last}, the lowest validation loss."
    losses = {metrics["epoch"]: metrics["val_loss"] for metrics in history}
    return (
        f"Lowest validation loss after epoch {best} of {last}: the checkpoint 'best' holds it "
        f"({losses[best]:.4f}; {losses[epoch]:.4f} after epoch {epoch})."
    )
