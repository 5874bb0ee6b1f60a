"""The effect of changing every pixel x to a·x + b.

A convolution of a·x + b with weights w and bias c equals a convolution of x with weights a·w and bias
c + b·Σw. Outside of the image the input is 0, not b, so the two differ near the border unless b is 0.
Therefore the weights w/a and the bias c − (b/a)·Σw undo the change, except near the border. The published
answer, (w − b)/a, does so only if b is 0.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array, Float

from analysis.plots import draw_lines
from analysis.report import Results, count, image, table
from analysis.trainings import Outcome, Trainer, Training, describe_change
from jaxcolor.colorization.palette import paint
from jaxcolor.drawing import draw_grid
from jaxcolor.training.state import TrainState

MOSAIC, MOSAICS = 3, 4  # images per side of a mosaic, which has an inside, and the number of mosaics
SHOWN = 10  # images side by side
GRID = "input-change-images.png"
EXPLANATION = """\
A convolution of a·x + b with weights w and bias c equals a convolution of x with weights a·w and bias
c + b·Σw. The first three columns compare the trained network of x, rewritten in this way, with that of
a·x + b, on images of {side}×{side} pixels: their largest difference as a share of the largest logit, and the
distance from the border from which on the difference is rounding. Rewritten the other way, the network undoes
the change except near the border. *Other colors* is the share of the validation pixels whose color differs
from that of the network of x, whose loss is {loss:.3f}. *By (w − b)/a* is that share with the weights of the
published answer."""
ROUNDING = 1e-5  # of the largest logit
Change = tuple[float, float]


Rewrite = Callable[[Array, Array], tuple[Array, Array]]  # of a kernel and a bias


def reparametrized(params: Mapping[str, Any], a: float, b: float, channels: int = 1) -> dict[str, Any]:
    """Return parameters that map x to the outputs of `params` for a·x + b, except near the border."""
    return rewritten(params, lambda w, c: (a * w, c + b * w.sum(axis=(0, 1, 2))), channels)


def published(params: Mapping[str, Any], a: float, b: float, channels: int = 1) -> dict[str, Any]:
    """Return the parameters of the published answer, which should map a·x + b to the outputs for x."""
    return rewritten(params, lambda w, c: ((w - b) / a, c), channels)


def rewritten(params: Mapping[str, Any], rewrite: Rewrite, channels: int) -> dict[str, Any]:
    """Return the parameters with rewritten ones where a layer sees the image.

    Layer 1 sees the image and, through a skip connection, layer 6. The image has `channels` channels.
    """
    leaves = flatten_dict(dict(params))
    sees_image: dict[tuple[str, ...], slice] = {("layer1", "conv"): slice(None)}
    if leaves["layer6", "kernel"].shape[2] > leaves["layer5", "norm", "scale"].shape[0]:
        sees_image["layer6",] = slice(channels)
    for layer, of_image in sees_image.items():
        kernel, bias = leaves[*layer, "kernel"], leaves[*layer, "bias"]
        seen, leaves[*layer, "bias"] = rewrite(kernel[:, :, of_image], bias)
        leaves[*layer, "kernel"] = kernel.at[:, :, of_image].set(seen)
    return unflatten_dict(leaves)


def logits_of(state: TrainState, inputs: Array) -> Float[Array, "batch height width color"]:
    """Return the logits with running averages."""
    return state.apply_fn(state.variables, inputs, train=False)


def differences_by_distance(
    state: TrainState, inputs: Float[Array, "batch side side channel"], a: float, b: float
) -> list[float]:
    """Return the largest difference between the network of a·x + b and the reparametrized network of x.

    It is a share of the largest logit, one value per distance from the border, starting with 0.
    """
    other = state.replace(params=reparametrized(state.params, a, b, inputs.shape[-1]))
    expected = np.asarray(jax.jit(logits_of)(state, a * inputs + b))
    found = np.asarray(jax.jit(logits_of)(other, inputs))
    difference = np.abs(expected - found).max(axis=(0, 3)) / np.abs(expected).max()
    side = len(difference)
    rows, columns = np.indices(difference.shape)
    distance = np.minimum(np.minimum(rows, side - 1 - rows), np.minimum(columns, side - 1 - columns))
    return [float(difference[distance == d].max()) for d in range((side + 1) // 2)]


def mosaics(inputs: Float[Array, "n height width channel"]) -> Float[Array, "m _ _ channel"]:
    """Return larger images made of `MOSAIC`² images each."""
    _, height, width, channels = inputs.shape
    grid = inputs.reshape(-1, MOSAIC, MOSAIC, height, width, channels)
    return grid.transpose(0, 1, 3, 2, 4, 5).reshape(-1, MOSAIC * height, MOSAIC * width, channels)


def measure(trainer: Trainer, plains: Sequence[Training], changes: Sequence[Change], folder: Path) -> Results:
    """Return the effect of each change on the trained network of the first of `plains`, and on new trainings.

    The other ones of `plains` differ only in their seed. They show how much a loss varies by chance. The
    predictions are drawn.
    """
    plain = plains[0]
    trained = trainer.train([*plains, *(_changed(plain, *change) for change in changes)])
    withouts, scratch = trained[: len(plains)], trained[len(plains) :]
    without = withouts[0]
    state = trainer.state(plain.model, without.variables)
    inputs = trainer.data("validation")["inputs"]
    large = mosaics(inputs[jnp.arange(MOSAICS * MOSAIC**2) % len(inputs)])
    labels = trainer.predict(state, inputs)
    drawn = {"original": trainer.truth["validation"].images, "of x": paint(labels, trainer.palette)}
    rows = []
    for (a, b), after in zip(changes, scratch, strict=True):
        changed = trainer.data("validation", a, b)
        # With these weights the network undoes the change.
        undone = state.replace(params=reparametrized(state.params, 1 / a, -b / a))
        as_published = state.replace(params=published(state.params, a, b))
        found = {
            how: trainer.predict(one, changed["inputs"])
            for how, one in (("untouched", state), ("undone", undone), ("published", as_published))
        }
        for how in ("untouched", "undone"):
            colors = found[how]
            drawn[f"of {describe_change(a, b)},\n{how}"] = paint(colors, trainer.palette)
        rows.append(
            {
                "a": a,
                "b": b,
                "by_distance": differences_by_distance(state, large, a, b),
                "untouched": trainer.evaluate(state, changed),
                "undone": trainer.evaluate(undone, changed),
                "other_pixels": float(np.mean(found["undone"] != labels)),
                "other_pixels_published": float(np.mean(found["published"] != labels)),
                "scratch": _scores(after, plain.epochs),
            }
        )
    rows_drawn = {label: images[:SHOWN] for label, images in drawn.items()}
    draw_grid(folder / GRID, "predictions of the trained network for validation images", rows_drawn)
    return {
        "plain": _scores(without, plain.epochs),
        "seeds": [other.after(epoch=plain.epochs)["val_loss"] for other in withouts],
        "epochs": plain.epochs,
        "side": large.shape[1],
        "changes": rows,
    }


def _changed(plain: Training, a: float, b: float) -> Training:
    return Training(**vars(plain) | {"multiply": a, "add": b})


def _scores(trained: Outcome, epochs: int) -> dict[str, Any]:
    """Return the scores of the last epoch, and the curve of validation losses."""
    entries = trained.by_epoch(epochs)
    last = entries[-1]
    return {
        "val_loss": last["val_loss"],
        "val_accuracy": last["val_accuracy"],
        "curve": [[entry["epoch"], entry["val_loss"]] for entry in entries],
    }


def render(results: Results, folder: Path) -> str:
    """Return the section of the report, and write its plots."""
    plain, changes = results["plain"], results["changes"]
    draw_lines(
        folder / "input-change-border.png",
        {
            _label(change): [(d, max(value, 1e-9)) for d, value in enumerate(change["by_distance"])]
            for change in changes
        },
        x="distance from the border, pixels",
        y="largest difference / largest logit",
        log="y",
    )
    curves = {"x": plain["curve"]} | {_label(change): change["scratch"]["curve"] for change in changes}
    draw_lines(
        folder / "input-change-curves.png",
        {label: [point for point in curve if point[0] > 0] for label, curve in curves.items()},
        x="epoch",
        y="validation loss",
    )
    rows = [
        [
            _label(change),
            f"{change['by_distance'][0]:.0e}",
            _exact_from(change["by_distance"]),
            f"{change['by_distance'][-1]:.0e}",
            f"{100 * change['other_pixels']:.1f} %",
            f"{100 * change['other_pixels_published']:.1f} %",
            f"{change['untouched']['val_loss']:.3f}",
            f"{change['undone']['val_loss']:.3f}",
            f"{change['scratch']['val_loss']:.3f}",
        ]
        for change in changes
    ]
    header = [
        "input", "at the border", "rounding from pixel", "in the middle", "other colors", "by (w − b)/a",
        "loss, unchanged weights", "loss, undone",
        f"loss, trained again for {count(results['epochs'], 'epoch')}",
    ]  # fmt: skip
    differences = [change["scratch"]["val_loss"] - plain["val_loss"] for change in changes]
    seeds = results["seeds"]
    chance = f"; {len(seeds)} seeds on x differ by {max(seeds) - min(seeds):.3f}" if seeds[1:] else ""
    return "\n\n".join(
        [
            EXPLANATION.format(side=results["side"], loss=plain["val_loss"]),
            table(header, rows),
            f"Trained again on a·x + b, losses differ by {min(differences):+.3f} to {max(differences):+.3f} "
            f"from the loss on x{chance}.",
            image(GRID, "Ten validation images by the trained network, from changed inputs"),
            image("input-change-border.png", "Largest difference over the distance from the border"),
            image("input-change-curves.png", "Validation losses of trainings on changed inputs"),
        ]
    )


def _label(change: Results) -> str:
    return describe_change(change["a"], change["b"])


def _exact_from(by_distance: Sequence[float]) -> str:
    """Return the distance from which on all differences are rounding."""
    inexact = [distance for distance, value in enumerate(by_distance) if value > ROUNDING]
    start = inexact[-1] + 1 if inexact else 0
    return str(start) if start < len(by_distance) else "none"
