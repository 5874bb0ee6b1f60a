"""The effect of the batch size: in equal epochs, as in the published answer, and in equal updates."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from analysis.plots import Points, draw_lines
from analysis.report import Results, count, image, means_of, show, spread, table
from analysis.trainings import Trainer, Training

# The assignment's published answers: validation loss and accuracy of the UNet after 25 epochs.
PUBLISHED = {
    25: (1.3284, 0.498), 50: (1.3236, 0.496), 100: (1.3469, 0.492), 200: (1.4001, 0.474),
    500: (1.5225, 0.431), 1000: (1.6344, 0.407),
}  # fmt: skip
PUBLISHED_MODEL, PUBLISHED_EPOCHS = "unet", 25


def measure(trainer: Trainer, kinds: Mapping[int, Sequence[Training]]) -> Results:
    """Return the results of each batch size over several seeds."""
    sizes = []
    for batch_size, trainings in kinds.items():
        trained = trainer.train(trainings)
        first = trainings[0]
        at_epochs = [one.after(epoch=first.epochs) for one in trained]
        at_updates = [one.after(update=first.updates) for one in trained]
        sizes.append(
            {
                "batch_size": batch_size,
                "updates_per_epoch": round(at_epochs[0]["update"] / first.epochs),
                "val_loss": [entry["val_loss"] for entry in at_epochs],
                "val_accuracy": [entry["val_accuracy"] for entry in at_epochs],
                "train_loss": [entry["train_loss"] for entry in at_epochs],
                "val_loss_at_updates": [entry["val_loss"] for entry in at_updates],
                "val_accuracy_at_updates": [entry["val_accuracy"] for entry in at_updates],
            }
        )
    return {"model": first.model, "epochs": first.epochs, "updates": first.updates, "sizes": sizes}


def render(results: Results, folder: Path) -> str:
    """Return the section of the report, and write its plot."""
    sizes, epochs, updates = results["sizes"], results["epochs"], results["updates"]
    is_published = (results["model"], epochs) == (PUBLISHED_MODEL, PUBLISHED_EPOCHS)
    lines: dict[str, Points] = {
        count(epochs, "epoch"): [(row["batch_size"], *spread(row["val_loss"])) for row in sizes],
        count(updates, "update"): [(row["batch_size"], *spread(row["val_loss_at_updates"])) for row in sizes],
    }
    if is_published:
        lines["published, 25 epochs"] = [(size, loss) for size, (loss, _) in PUBLISHED.items()]
    draw_lines(
        folder / "batch-sizes.png",
        lines,
        x="images per batch",
        y="validation loss",
        log="x",
        ticks=[row["batch_size"] for row in sizes],
    )
    header = [
        "batch", "updates", f"loss, {epochs} epochs", f"accuracy, {epochs} epochs",
        *(["published", "difference"] if is_published else []), f"loss, {updates} updates",
        f"accuracy, {updates} updates",
    ]  # fmt: skip
    rows = []
    for row in sizes:
        published = PUBLISHED.get(row["batch_size"]) if is_published else None
        beside = ["", ""]
        if published:
            loss, accuracy = published
            beside = [f"{loss:.3f}, {100 * accuracy:.1f} %", f"{np.mean(row['val_loss']) - loss:+.3f}"]
        rows.append(
            [
                row["batch_size"],
                f"{epochs * row['updates_per_epoch']:,}",
                show(row["val_loss"]),
                show(row["val_accuracy"], 1, percent=True),
                *(beside if is_published else []),
                show(row["val_loss_at_updates"]),
                show(row["val_accuracy_at_updates"], 1, percent=True),
            ]
        )
    return "\n\n".join(
        [
            means_of(len(sizes[0]["val_loss"])),
            table(header, rows),
            *([_conclusion(results)] if len(sizes) > 1 else []),
            image("batch-sizes.png", "Validation loss over the batch size"),
        ]
    )


def _conclusion(results: Results) -> str:
    """Name the best batch size by either measure, and draw the conclusion."""
    sizes = {row["batch_size"]: row for row in results["sizes"]}
    in_epochs, in_updates = (
        min(sizes, key=lambda size: np.mean(sizes[size][name]))
        for name in ("val_loss", "val_loss_at_updates")
    )
    highest = max(sizes[in_updates]["val_loss_at_updates"])
    as_good = max(size for size, row in sizes.items() if min(row["val_loss_at_updates"]) <= highest)
    found = (
        f"Batches of {in_epochs} have the lowest loss after {count(results['epochs'], 'epoch')} "
        f"({np.mean(sizes[in_epochs]['val_loss']):.3f}), batches of {in_updates} after "
        f"{count(results['updates'], 'update')} ({np.mean(sizes[in_updates]['val_loss_at_updates']):.3f})"
    )
    if as_good > in_updates:
        found += f", where seeds differ by more than what batches of {as_good} lose to them"
    if as_good <= in_epochs:
        return f"{found}: fewer updates alone do not explain what larger batches lose."
    return (
        f"{found}: up to {as_good} images, larger batches lose in equal epochs because they make fewer "
        "updates, not because each of their updates is worth less"
        + ("." if as_good == max(sizes) else "; beyond, they lose in equal updates as well.")
    )
