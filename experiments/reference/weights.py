"""Conversion of weights between the PyTorch program and jaxcolor.

This is a module of its own because the program does not import JAX.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import torch
from torch import Tensor

from jaxcolor.pretrained import keys
from jaxcolor.pretrained.assignment import table_for
from jaxcolor.pretrained.keys import COUNTER


def from_torch(weights: Mapping[str, Tensor], like: Mapping[str, Any]) -> dict[str, Any]:
    """Return jaxcolor's `params` and `batch_stats` from a state_dict.

    `like` are variables of the same network. Raises `UserError` with all keys that are missing, unknown or of
    another shape.
    """
    arrays = {key: weight.detach().cpu().numpy() for key, weight in weights.items()}
    return jax.tree.map(jnp.asarray, keys.from_torch(arrays, table_for(like["params"]), like))


def to_torch(variables: Mapping[str, Any], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state_dict from jaxcolor's `params` and `batch_stats`; the inverse of `from_torch`.

    `like` is the state_dict of the same network. Raises `UserError` as `from_torch` does.
    """
    shapes = {key: tuple(weight.shape) for key, weight in like.items()}
    arrays = keys.to_torch(variables, table_for(shapes), shapes)
    counters = {key: torch.zeros_like(count) for key, count in like.items() if key.endswith(COUNTER)}
    return {key: torch.from_numpy(array) for key, array in arrays.items()} | counters
