"""Scores from one confusion matrix over a whole split, their files, and their meaning in words."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from jaxcolor.data.label_maps import VOID
from jaxcolor.files import write_csv, write_json

Confusion = Float[np.ndarray, "classes classes"]  # pixels by true class (row) and predicted class (column)
OfClasses = Float[np.ndarray, " classes"]
METRICS = ("val_loss", "pixel_accuracy", "mean_accuracy", "mean_iou")


class Scores(NamedTuple):
    """Shares in 0–1. A class without pixels, true or predicted, has no IoU and is left out of means."""

    pixel_accuracy: float
    mean_accuracy: float
    mean_iou: float
    iou: OfClasses  # nan for such a class
    accuracy: OfClasses  # nan for a class without true pixels
    pixels: OfClasses  # true pixels


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
        accuracy=accuracy,
        pixels=true,
    )


def count_confusion(
    truth: UInt8[np.ndarray, "height width"], predicted: UInt8[np.ndarray, "height width"], classes: int
) -> Confusion:
    """Return the confusion matrix of one image. Void does not count."""
    counted = truth != VOID
    pairs = truth[counted].astype(np.int64) * classes + predicted[counted]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes).astype(np.float64)


def means(found: Scores) -> dict[str, float]:
    """Return the scores over all classes by their names in `METRICS`."""
    return {name: getattr(found, name) for name in METRICS if name != "val_loss"}


def write_scores(
    path: Path, epoch: int, metrics: dict[str, float], confusion: Confusion, classes: Sequence[str]
) -> None:
    """Write the scores of a checkpoint, and of each class, as JSON. A score that does not exist is null."""
    found = scores(confusion)
    rows = zip(classes, found.iou.tolist(), found.accuracy.tolist(), found.pixels.tolist(), strict=True)
    value = {
        "epoch": epoch,
        **{name: metrics[name] for name in METRICS if name in metrics},
        "classes": [
            {"name": name, "iou": iou, "accuracy": accuracy, "pixels": int(pixels)}
            for name, iou, accuracy, pixels in rows
        ],
    }
    write_json(path, value)


def write_image_scores(
    path: Path, names: Sequence[str], image_scores: Sequence[Scores | None], classes: Sequence[str]
) -> None:
    """Write a row per image: name, mean IoU, pixel accuracy, and the IoU of each class.

    The cell of a class that an image lacks is empty, and so are all cells of an image that is all void.
    """
    rows = [
        [name, found.mean_iou, found.pixel_accuracy, *found.iou.tolist()]
        if found
        else [name, *[None] * (2 + len(classes))]
        for name, found in zip(names, image_scores, strict=True)
    ]
    write_csv(path, ["image", "mean_iou", "pixel_accuracy", *(f"iou {name}" for name in classes)], rows)


def describe_classes(confusion: Confusion, classes: Sequence[str]) -> str:
    """Return a line per class with its IoU, a dash for a class without pixels."""
    width = max(map(len, classes))
    ious = scores(confusion).iou
    return "\n".join(
        f"  {name:{width}}  IoU {'—' if np.isnan(iou) else f'{100 * iou:5.1f} %'}"
        for name, iou in zip(classes, ious, strict=True)
    )


def explain(confusion: Confusion, classes: Sequence[str]) -> str:
    """Compare the scores with those of the most frequent class everywhere. Name classes without pixels."""
    found = scores(confusion)
    present = found.pixels > 0
    largest = int(found.pixels.argmax())
    share = found.pixels[largest] / found.pixels.sum()
    lines = [
        f"The network labels {100 * found.pixel_accuracy:.1f} % of the pixels right, with a mean IoU of "
        f"{100 * found.mean_iou:.1f} %. Labeling every pixel {classes[largest]}, the most frequent class, "
        f"would get {100 * share:.1f} % right, with a mean IoU of {100 * share / present.sum():.1f} %."
    ]
    absent = [name for name, has_pixels in zip(classes, present, strict=True) if not has_pixels]
    if absent:
        lines.append(
            f"No validation mask has {', '.join(absent)}. The mean IoU leaves out a class that is not "
            "predicted either, and counts one that is predicted as 0."
        )
    return "\n".join(lines)
