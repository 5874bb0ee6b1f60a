"""The metrics of a run's epochs, read as a whole: which epoch was the best."""

from collections.abc import Mapping, Sequence
from typing import Any

History = Sequence[Mapping[str, Any]]  # the metrics of each epoch, in order; epoch 0 is before any training


# The metrics by which an epoch may be the best. All but the loss are better if they are higher.
VAL_LOSS = "val_loss"
LABELS = {
    VAL_LOSS: "validation loss",
    "val_accuracy": "accuracy",
    "mean_iou": "mean IoU",
    "pixel_accuracy": "pixel accuracy",
    "psnr": "PSNR",
}


def merit(value: float, metric: str) -> float:
    """Return a number that is higher for a better value of a metric."""
    return -value if metric == VAL_LOSS else value


def best_epoch(history: History, metric: str = VAL_LOSS) -> int:
    """Return the epoch with the best value of a metric, whose checkpoint is the best. The last of equals."""
    trained = [metrics for metrics in history if metrics["epoch"] > 0]
    return max(trained, key=lambda metrics: (merit(metrics[metric], metric), metrics["epoch"]))["epoch"]


def has_stalled(history: History, patience: int | None, metric: str = VAL_LOSS) -> bool:
    """Return whether a metric was not better than before in the last `patience` epochs. None: never."""
    if patience is None or not any(metrics["epoch"] > 0 for metrics in history):
        return False
    return history[-1]["epoch"] - best_epoch(history, metric) >= patience


def better(metric: str) -> str:
    """Return how a better value of a metric is called, such as "lower validation loss"."""
    return f"{'lower' if metric == VAL_LOSS else 'higher'} {LABELS[metric]}"


def describe_best(history: History, epoch: int, metric: str = VAL_LOSS) -> str | None:
    """Return a sentence on the best epoch of a run, whose scores after `epoch` are shown.

    Return None if the last epoch is the best.
    """
    last, best = history[-1]["epoch"], best_epoch(history, metric)
    if best == last:
        return None
    which = f"{'lowest' if metric == VAL_LOSS else 'highest'} {LABELS[metric]}"
    if epoch == best:
        return f"These scores are those after epoch {epoch} of {last}, the {which}."
    values = {metrics["epoch"]: metrics[metric] for metrics in history}
    return (
        f"{which[0].upper()}{which[1:]} after epoch {best} of {last}: the checkpoint 'best' holds it "
        f"({values[best]:.4f}; {values[epoch]:.4f} after epoch {epoch})."
    )
