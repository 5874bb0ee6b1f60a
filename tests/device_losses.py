"""Print the losses of the first steps of both tasks on 1, 2, 4 and 8 devices, as JSON.

A program of its own, because the number of devices is fixed when JAX starts.
"""

import json
import tempfile
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tiny_backbone
from flax import linen as nn

from jaxcolor.colorization.task import evaluate_step as evaluate_colors
from jaxcolor.colorization.task import make_train_step as make_color_step
from jaxcolor.data.label_maps import VOID
from jaxcolor.layers.resize import interpolation
from jaxcolor.models.segmentation import DeepLabV3
from jaxcolor.models.unet import UNet
from jaxcolor.segmentation.losses import make_loss
from jaxcolor.segmentation.task import TRAINABLE
from jaxcolor.segmentation.task import evaluate_step as evaluate_labels
from jaxcolor.segmentation.task import make_train_step as make_label_step
from jaxcolor.training.batches import make_batches
from jaxcolor.training.devices import Devices
from jaxcolor.training.engine import Engine, keep_state
from jaxcolor.training.state import create_state, initialize

NUMBERS = (1, 2, 4, 8)
IMAGES, BATCH = 30, 10  # batches of 10 do not divide by 4 and 8: they are padded
COLORS = 5


def colorize(number: int) -> list[float]:
    """Return the training losses of each step, and the validation loss."""
    devices, rng = Devices(number), np.random.default_rng(0)
    data = devices.copy(
        {
            "inputs": jnp.asarray(rng.random((IMAGES, 16, 16, 1)), jnp.float32),
            "labels": jnp.asarray(rng.integers(0, COLORS, (IMAGES, 16, 16)), jnp.uint8),
        }
    )
    model = UNet(filters=4, colors=COLORS)
    variables = new_variables(model, (1, 16, 16, 1))
    state = devices.copy(create_state(model.apply, variables, optax.adam(1e-3), decay=0.9))
    batches = make_batches(np.arange(IMAGES), BATCH, devices.count)
    losses: list[float] = []
    step = make_color_step(seed=1, flip=True, shift=2, label_smoothing=0.1)
    train = Engine(step, devices=devices)
    state, _ = train(state, batches, data, lambda _, sums: losses.append(float(sums["loss"] / sums["count"])))
    evaluate = Engine(keep_state(evaluate_colors), donate=False, devices=devices)
    _, sums = evaluate(state, batches, data)
    assert all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(state.params))
    return [*losses, float(sums["loss"] / sums["count"])]


def segment(number: int) -> list[float]:
    """Return the training losses of each step, with dropout, and the validation loss."""
    devices, rng = Devices(number), np.random.default_rng(0)
    model = DeepLabV3(tiny_backbone.NAME, 3, 16)
    variables = new_variables(model, (1, 32, 32, 3))
    state = devices.copy(create_state(model.apply, variables, optax.sgd(0.01), TRAINABLE["all"]))
    rows = -(-BATCH // number) * number
    labels = rng.integers(0, 3, (BATCH, 32, 32)).astype(np.uint8)
    batch: dict[str, np.ndarray] = {
        "inputs": rng.integers(0, 256, (BATCH, 32, 32, 3)).astype(np.uint8),
        "labels": labels,
        "valid": np.ones(BATCH, np.float32),
    }
    fill = {"inputs": 0, "labels": VOID, "valid": 0}
    batch = {name: padded(array, rows, fill[name]) for name, array in batch.items()}
    loss = make_loss(["cross-entropy", "dice"], jnp.ones(3), number)
    train = Engine(make_label_step("all", "images", 0, loss), devices=devices)
    losses: list[float] = []
    state, _ = train(
        state, [batch] * 3, on_step=lambda _, sums: losses.append(float(sums["loss"] / sums["count"]))
    )
    evaluate = Engine(keep_state(partial(evaluate_labels, "images", number)), donate=False, devices=devices)
    enlarge = np.stack([interpolation(32, 2)] * rows)
    _, sums = evaluate(state, [batch | {"rows": enlarge, "columns": enlarge}])
    return [*losses, float(sums["loss"].sum() / sums["count"].sum())]


@cache
def new_variables(model: nn.Module, example: tuple[int, ...]) -> dict[str, Any]:
    """Return variables as NumPy arrays, because each training donates its arrays."""
    return jax.tree.map(np.array, initialize(model, jax.ShapeDtypeStruct(example, jnp.float32), 0))


def padded(array: np.ndarray, rows: int, value: int) -> np.ndarray:
    """Return an array with more rows."""
    missing = np.full((rows - len(array), *array.shape[1:]), value, array.dtype)
    return np.concatenate([array, missing])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, tiny_backbone.installed(Path(folder)):
        found = {task.__name__: {number: task(number) for number in NUMBERS} for task in (colorize, segment)}
    print(json.dumps(found))
