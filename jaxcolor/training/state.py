"""All that training changes."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax.training import train_state
from jaxtyping import Array


class TrainState(train_state.TrainState):
    """Parameters, optimiser state and step, and BatchNorm's running statistics."""

    batch_stats: Any


def create_state(
    model: nn.Module, example: Array, optimizer: optax.GradientTransformation, seed: int
) -> TrainState:
    """A fresh state; `example` is a batch of inputs, of which only the shape counts."""
    variables = jax.jit(model.init, static_argnames="train")(jax.random.key(seed), example, train=False)
    state = TrainState.create(
        apply_fn=model.apply,
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        tx=optimizer,
    )
    return state.replace(step=jnp.zeros((), jnp.int32))
