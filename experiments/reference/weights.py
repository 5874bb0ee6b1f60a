"""Conversion of weights between the PyTorch program and jaxcolor.

This is a module of its own because the program does not import JAX.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import torch
from torch import Tensor

from jaxcolor.pretrained import keys
from jaxcolor.pretrained.keys import COUNTER, batch_norm, conv

TRANSPOSED_KERNEL = (2, 3, 0, 1)  # IOHW → HWIO


def table(blocks: int, transposed: Sequence[str] = ()) -> keys.Table:
    """Return the table of a network with that many blocks and a convolution after them.

    `transposed` are the blocks with a transposed convolution.
    """
    found: keys.Table = {}
    for block in (f"layer{i}" for i in range(1, blocks + 1)):
        found |= conv(f"{block}.conv", (block, "conv"), bias=True)
        found |= batch_norm(f"{block}.norm", (block, "norm"))
        if block in transposed:
            weight = f"{block}.conv.weight"
            found[weight] = found[weight]._replace(axes=TRANSPOSED_KERNEL)
    last = f"layer{blocks + 1}"
    return found | conv(last, (last,), bias=True)


POOLED = table(5)  # of the CNN and the UNets
STRIDED = table(4, transposed=("layer3", "layer4"))  # of the networks since 2021


def table_for(names: Iterable[str]) -> keys.Table:
    """Return the table of a network from the names of its layers, or of its weights in PyTorch."""
    return POOLED if any(name.startswith("layer6") for name in names) else STRIDED


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
