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

    `batch_stats` is an empty dict for a network without BatchNorm. With a `decay`, `average` is the
    exponential moving average of the variables over the steps, which evaluation and prediction use:

        average = d · average + (1 − d) · variables    with d = min(decay, (1 + step) / (10 + step))

    In the first steps d is smaller, so that the average soon forgets the initial weights.
    """

    # Flax's annotations are narrower: parameters are dicts here, and JAX also puts other things into leaves.
    step: Any
    params: Any = struct.field(pytree_node=True)
    opt_state: Any = struct.field(pytree_node=True)
    batch_stats: Any = struct.field(default_factory=dict)
    trainable: Trainable = struct.field(pytree_node=False, default=EVERYTHING)
    average: Any = None
    decay: float = struct.field(pytree_node=False, default=0.0)

    @property
    def variables(self) -> dict[str, Any]:
        """The variables that `apply_fn` takes in training."""
        return {"params": self.params, "batch_stats": self.batch_stats}

    @property
    def averaged(self) -> dict[str, Any]:
        """The variables for evaluation: the moving average if there is one."""
        return self.variables if self.average is None else self.average

    def with_variables(self, variables: dict[str, Any]) -> "TrainState":
        """Return the state with other variables, from which the moving average starts, too."""
        return self.replace(**variables, average=copy_average(variables, self.decay))

    def apply_gradients(self, *, grads: Any, **kwargs: Any) -> "TrainState":
        """Return the state after one step of the optimizer.

        `grads` are the gradients with respect to `trainable.select(params)`. Frozen parameters stay the same
        arrays.
        """
        updates, opt_state = self.tx.update(grads, self.opt_state, self.params)
        moved = optax.apply_updates(self.trainable.select(self.params), updates)
        params = self.trainable.merge(self.params, moved)
        state = self.replace(step=self.step + 1, params=params, opt_state=opt_state, **kwargs)
        if self.average is None:
            return state
        decay = jnp.minimum(self.decay, (1 + self.step) / (10 + self.step))
        average = optax.incremental_update(state.variables, self.average, 1 - decay)
        return state.replace(average=average)


def create_state(
    apply_fn: Callable[..., Any],
    variables: dict[str, Any],
    optimizer: optax.GradientTransformation,
    trainable: Trainable = EVERYTHING,
    decay: float = 0.0,
) -> TrainState:
    """Return the state before the first step. Only trainable parameters have an optimizer state.

    `decay` is that of the moving average of the variables; 0 keeps none.
    """
    tx = masked(optimizer, trainable)
    variables = {name: variables.get(name, {}) for name in ("params", "batch_stats")}
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        apply_fn=apply_fn,
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        tx=tx,
        opt_state=tx.init(variables["params"]),
        trainable=trainable,
        average=copy_average(variables, decay),
        decay=decay,
    )


def copy_average(variables: dict[str, Any], decay: float) -> dict[str, Any] | None:
    """Return the moving average before the first step: a copy, because a step donates its arrays."""
    return jax.tree.map(jnp.copy, variables) if decay else None


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
