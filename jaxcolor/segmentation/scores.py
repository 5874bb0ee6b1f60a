"""Scores from one confusion matrix over a whole split."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Confusion = Float[np.ndarray, "classes classes"]  # pixels by true class (row) and predicted class (column)


class Scores(NamedTuple):
    """Shares in 0–1. A class without pixels, true or predicted, has no IoU and is left out of means."""

    pixel_accuracy: float
    mean_accuracy: float
    mean_iou: float
    iou: Float[np.ndarray, " classes"]  # nan for such a class


def scores(confusion: Confusion) -> Scores:
    """Return pixel accuracy, the mean accuracy over classes, and intersection over union."""
    correct = np.diag(confusion)
    true, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    with np.errstate(invalid="ignore"):
        accuracy = correct / true
        iou = correct / (true + predicted - correct)
    return Scores(
        pixel_accuracy=float(correct.sum() / confusion.sum()),
        mean_accuracy=float(np.nanmean(accuracy)),
        mean_iou=float(np.nanmean(iou)),
        iou=iou,
    )
