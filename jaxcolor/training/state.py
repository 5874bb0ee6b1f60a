"""All that training changes."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct
from jaxtyping import Array


class TrainState(struct.PyTreeNode):
    """Parameters, BatchNorm's running statistics, the optimizer's state, and the steps done."""

    step: Any
    params: Any
    batch_stats: Any
    opt_state: Any
    apply_fn: Callable[..., Any] = struct.field(pytree_node=False)
    optimizer: optax.GradientTransformation = struct.field(pytree_node=False)

    @property
    def variables(self) -> dict[str, Any]:
        """What `apply_fn` is given."""
        return {"params": self.params, "batch_stats": self.batch_stats}

    def apply_gradients(self, gradients: Any, batch_stats: Any) -> "TrainState":
        """The state after a step of the optimizer, with the statistics that the step left."""
        updates, opt_state = self.optimizer.update(gradients, self.opt_state, self.params)
        params = optax.apply_updates(self.params, updates)
        return self.replace(step=self.step + 1, params=params, batch_stats=batch_stats, opt_state=opt_state)


def create_state(
    apply_fn: Callable[..., Any], variables: dict[str, Any], optimizer: optax.GradientTransformation
) -> TrainState:
    """A state before the first step; `variables` holds `params` and `batch_stats`."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        opt_state=optimizer.init(variables["params"]),
        apply_fn=apply_fn,
        optimizer=optimizer,
    )


def initialize(
    model: nn.Module, example: Array, optimizer: optax.GradientTransformation, seed: int
) -> TrainState:
    """A state with fresh weights; `example` is a batch of inputs, of which only the shape counts."""
    variables = jax.jit(model.init, static_argnames="train")(jax.random.key(seed), example, train=False)
    return create_state(model.apply, variables, optimizer)
