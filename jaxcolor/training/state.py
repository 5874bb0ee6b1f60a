"""The state of a training: parameters, BatchNorm's running averages, and the state of the optimizer."""

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct
from flax.training import train_state
from jaxtyping import Array

from jaxcolor.training.freezing import EVERYTHING, Trainable


class TrainState(train_state.TrainState):
    """Flax's TrainState with BatchNorm's running averages and the rule that says what is trainable.

    `batch_stats` is an empty dict for a network without BatchNorm.
    """

    # Flax's annotations are narrower: parameters are dicts here, and JAX also puts other things into leaves.
    step: Any
    params: Any = struct.field(pytree_node=True)
    opt_state: Any = struct.field(pytree_node=True)
    batch_stats: Any = struct.field(default_factory=dict)
    trainable: Trainable = struct.field(pytree_node=False, default=EVERYTHING)

    @property
    def variables(self) -> dict[str, Any]:
        """The variables that `apply_fn` takes."""
        return {"params": self.params, "batch_stats": self.batch_stats}

    def apply_gradients(self, *, grads: Any, **kwargs: Any) -> "TrainState":
        """Return the state after one step of the optimizer.

        `grads` are the gradients with respect to `trainable.select(params)`. Frozen parameters stay the same
        arrays.
        """
        updates, opt_state = self.tx.update(grads, self.opt_state, self.params)
        moved = optax.apply_updates(self.trainable.select(self.params), updates)
        params = self.trainable.merge(self.params, moved)
        return self.replace(step=self.step + 1, params=params, opt_state=opt_state, **kwargs)


def create_state(
    apply_fn: Callable[..., Any],
    variables: dict[str, Any],
    optimizer: optax.GradientTransformation,
    trainable: Trainable = EVERYTHING,
) -> TrainState:
    """Return the state before the first step. Only trainable parameters have an optimizer state."""
    tx = masked(optimizer, trainable)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        apply_fn=apply_fn,
        params=variables["params"],
        batch_stats=variables.get("batch_stats", {}),
        tx=tx,
        opt_state=tx.init(variables["params"]),
        trainable=trainable,
    )


@cache
def masked(optimizer: optax.GradientTransformation, trainable: Trainable) -> optax.GradientTransformation:
    """Return the optimizer for the trainable leaves alone.

    The result is cached, because states with the same optimizer object share their compiled programs.
    """
    return optax.masked(optimizer, trainable.mask)


def initialize(model: nn.Module, example: Array | jax.ShapeDtypeStruct, seed: int) -> dict[str, Any]:
    """Return new variables of `model`. `example` has the shape and dtype of a batch of inputs."""

    def init(key: Array) -> dict[str, Any]:
        return dict(model.init(key, jnp.zeros(example.shape, example.dtype)))

    return jax.jit(init)(jax.random.key(seed))
