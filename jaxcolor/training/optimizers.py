"""Optimizers and schedules of the learning rate, by the names that the options have."""

from typing import Any

import jax
import optax

POLY_POWER = 0.9
RISE = 0.3  # share of the steps in which the learning rate of one-cycle rises
START, END = 1 / 25, 1e-4 / 25  # learning rate of one-cycle at both ends, relative to the highest


def make_schedule(kind: str, learning_rate: float, steps: int, warm_up: int = 0) -> optax.Schedule | float:
    """Return the learning rate of each step.

    `kind` is "constant"; "cosine", which decreases to 0 at the last of `steps` steps along half a cosine;
    "poly", which does so as (1 − step / steps) to the power of 0.9; or "one-cycle" (Smith and Topin,
    arXiv:1708.07120), which rises from 1/25 of the learning rate to it in the first 30 % of the steps, and
    decreases to nearly 0 afterwards. Before that it rises from 0 in `warm_up` steps, which count as steps.
    """
    rest = max(steps - warm_up, 1)
    if kind == "constant":
        schedule: optax.Schedule = optax.constant_schedule(learning_rate)
        if not warm_up:
            return learning_rate
    elif kind == "cosine":
        schedule = optax.cosine_decay_schedule(learning_rate, rest)
    elif kind == "poly":
        schedule = optax.polynomial_schedule(learning_rate, 0.0, POLY_POWER, rest)
    else:
        schedule = optax.cosine_onecycle_schedule(rest, learning_rate, RISE, 1 / START, START / END)
    if not warm_up:
        return schedule
    return optax.join_schedules([optax.linear_schedule(0.0, learning_rate, warm_up), schedule], [warm_up])


def make_optimizer(
    name: str, learning_rate: optax.Schedule | float, weight_decay: float = 0.0
) -> optax.GradientTransformation:
    """Return "adam", or "adamw" (Loshchilov and Hutter, arXiv:1711.05101), which shrinks kernels, too.

    Biases, and the scales and shifts of BatchNorm, are not shrunk.
    """
    if name == "adam":
        return optax.adam(learning_rate)
    return optax.adamw(learning_rate, weight_decay=weight_decay, mask=are_kernels)


def are_kernels(params: Any) -> Any:
    """Return a tree with True for parameters of more than one axis."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)
