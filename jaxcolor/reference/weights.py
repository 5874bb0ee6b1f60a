"""PyTorch's weights as ours and back, by one table."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import Tensor

from jaxcolor.errors import UserError

Path = tuple[str, ...]


class Place(NamedTuple):
    """Where a weight of PyTorch's is kept among ours, and the order of PyTorch's axes in ours."""

    path: Path
    axes: tuple[int, ...] | None = None


KERNEL = (2, 3, 1, 0)  # OIHW → HWIO
BLOCKS = [f"layer{i}" for i in range(1, 6)]
TABLE = {
    **{f"{b}.conv.weight": Place(("params", b, "conv", "kernel"), KERNEL) for b in BLOCKS},
    **{f"{b}.conv.bias": Place(("params", b, "conv", "bias")) for b in BLOCKS},
    **{f"{b}.norm.weight": Place(("params", b, "norm", "scale")) for b in BLOCKS},
    **{f"{b}.norm.bias": Place(("params", b, "norm", "bias")) for b in BLOCKS},
    **{f"{b}.norm.running_mean": Place(("batch_stats", b, "norm", "mean")) for b in BLOCKS},
    **{f"{b}.norm.running_var": Place(("batch_stats", b, "norm", "variance")) for b in BLOCKS},
    "layer6.weight": Place(("params", "layer6", "kernel"), KERNEL),
    "layer6.bias": Place(("params", "layer6", "bias")),
}
# PyTorch counts batches, and uses the count only where BatchNorm has no momentum. We do not count.
COUNTERS = {f"{b}.norm.num_batches_tracked" for b in BLOCKS}


def from_torch(weights: Mapping[str, Tensor], like: Mapping[str, Any]) -> dict[str, Any]:
    """Our `params` and `batch_stats` from a state_dict; `like` are variables of the same network.

    Raises `UserError` with all keys that are missing, unknown or of another shape.
    """
    wanted = flatten(like)
    problems = [f"{key} is unknown" for key in weights if key not in TABLE and key not in COUNTERS]
    found: dict[Path, Any] = {}
    for key, (path, axes) in TABLE.items():
        if key not in weights:
            problems.append(f"{key} is missing")
            continue
        array = weights[key].detach().cpu().numpy()
        if axes and array.ndim != len(axes):
            problems.append(f"{key} has {array.ndim} axes, not {len(axes)}")
            continue
        array = array.transpose(axes) if axes else array
        if array.shape != wanted[path].shape:
            problems.append(f"{key} has, as ours, shape {array.shape}, not {wanted[path].shape}")
        found[path] = jnp.asarray(np.ascontiguousarray(array))
    _report(problems, "the PyTorch weights do not fit this network")
    return unflatten(found)


def to_torch(variables: Mapping[str, Any], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state_dict from our `params` and `batch_stats`; `like` is that of a model of the same network."""
    ours = flatten(variables)
    paths = {place.path for place in TABLE.values()}
    problems = [f"{'/'.join(path)} is unknown" for path in ours if path not in paths]
    state = {}
    for key, (path, axes) in TABLE.items():
        if path not in ours:
            problems.append(f"{'/'.join(path)} is missing")
            continue
        array = np.asarray(ours[path])
        if axes and array.ndim != len(axes):
            problems.append(f"{'/'.join(path)} has {array.ndim} axes, not {len(axes)}")
            continue
        array = array.transpose(np.argsort(axes)) if axes else array
        if array.shape != tuple(like[key].shape):
            problems.append(
                f"{'/'.join(path)} has, as {key}, shape {array.shape}, not {tuple(like[key].shape)}"
            )
        state[key] = torch.from_numpy(array.copy())
    _report(problems, "our weights do not fit this PyTorch network")
    return state | {key: torch.zeros_like(like[key]) for key in COUNTERS}


def flatten(tree: Mapping[str, Any]) -> dict[Path, Any]:
    """The leaves of nested dictionaries by their path."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {tuple(key.key for key in path): leaf for path, leaf in leaves}


def unflatten(leaves: Mapping[Path, Any]) -> dict[str, Any]:
    """The inverse of `flatten`."""
    tree: dict[str, Any] = {}
    for path, leaf in leaves.items():
        node = tree
        for name in path[:-1]:
            node = node.setdefault(name, {})
        node[path[-1]] = leaf
    return tree


def _report(problems: list[str], what: str) -> None:
    if problems:
        raise UserError(f"{what}: {'; '.join(sorted(problems))}")
