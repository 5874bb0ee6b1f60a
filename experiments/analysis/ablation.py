"""The effect of each setting of the ResUNet's training: one is changed at a time."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from analysis.config import Variant
from analysis.report import Results, count, means_of, show, table
from analysis.runs import Run

CHANGES: dict[Variant, dict[str, Any]] = {
    "own": {},
    "no-prior": {"prior": "none"},
    "adam": {"optimizer": "adam", "weight_decay": 0.0},
    "constant": {"schedule": "constant"},
    "cosine": {"schedule": "cosine"},
    "warm-up": {"schedule": "cosine", "warm_up": 100},
    "no-flip": {"flip": False},
    "no-shift": {"shift": 0},
    "same-order": {"shuffle": "once"},
    "label-smoothing": {"label_smoothing": 0.05},
    "no-average": {"ema": 0.0},
}
TITLES: dict[str, str] = {
    "own": "its own settings",
    "no-prior": "without the prior",
    "adam": "Adam, without weight decay",
    "constant": "constant learning rate",
    "cosine": "cosine schedule",
    "warm-up": "cosine schedule, warm-up of 100 steps",
    "no-flip": "without mirror images",
    "no-shift": "without shifts",
    "same-order": "the same order in every epoch",
    "label-smoothing": "label smoothing of 0.05",
    "no-average": "without the moving average",
}


def measure(variants: Mapping[Variant, list[Run]]) -> Results:
    """Return losses and scores after the last epoch, per variant and seed."""
    return {
        name: {
            "epochs": len(runs[0].history),
            "train_loss": [run.history[-1]["train_loss"] for run in runs],
            "val_loss": [run.history[-1]["val_loss"] for run in runs],
            "val_accuracy": [run.scores.accuracy for run in runs],
            "psnr": [run.scores.psnr for run in runs],
        }
        for name, runs in variants.items()
    }


def render(results: Results, folder: Path) -> str:
    """Return the section of the report."""
    first, *_ = results.values()
    rows = []
    for name, row in results.items():
        change = np.mean(row["val_loss"]) - np.mean(first["val_loss"])
        rows.append(
            [
                TITLES[name],
                show(row["train_loss"]),
                show(row["val_loss"]),
                "" if row is first else f"{change:+.3f}".replace("-", "−"),
                show(row["val_accuracy"], 1, percent=True),
                show(row["psnr"], 2),
            ]
        )
    header = ["ResUNet", "train loss", "validation loss", "change", "accuracy", "PSNR, dB"]
    return "\n\n".join(
        [
            f"Each row changes one setting of the first row. After {count(first['epochs'], 'epoch')}. "
            f"{means_of(len(first['val_loss']))}",
            table(header, rows),
        ]
    )
