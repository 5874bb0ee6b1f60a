"""PyTorch's weights as variables of jaxcolor and back, by one table of keys per network."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxcolor.errors import UserError

KeyPath = tuple[str, ...]  # the keys from the root of a tree of variables to a leaf


class Place(NamedTuple):
    """The path of a weight in jaxcolor, and the order of PyTorch's axes there."""

    path: KeyPath
    axes: tuple[int, ...] | None = None


Table = dict[str, Place]
KERNEL = (2, 3, 1, 0)  # OIHW → HWIO; for a depthwise kernel [channel, 1, h, w] → [h, w, 1, channel], too
# PyTorch counts batches, and uses the count only for a BatchNorm without momentum. jaxcolor does not count.
COUNTER = ".num_batches_tracked"


def conv(key: str, path: KeyPath, bias: bool = False) -> Table:
    """Return the table of a convolution."""
    table = {f"{key}.weight": Place(("params", *path, "kernel"), KERNEL)}
    return table | ({f"{key}.bias": Place(("params", *path, "bias"))} if bias else {})


def batch_norm(key: str, path: KeyPath) -> Table:
    """Return the table of a BatchNorm."""
    return {
        f"{key}.weight": Place(("params", *path, "scale")),
        f"{key}.bias": Place(("params", *path, "bias")),
        f"{key}.running_mean": Place(("batch_stats", *path, "mean")),
        f"{key}.running_var": Place(("batch_stats", *path, "variance")),
    }


def from_torch(
    weights: Mapping[str, np.ndarray],
    table: Table,
    like: Mapping[str, Any],
    problems: Iterable[str] = (),
    what: str = "the PyTorch weights",
) -> dict[str, Any]:
    """Return the variables of a network from PyTorch's weights. `like` has their shapes and dtypes.

    Raises `UserError` with `problems` and with all keys that are missing, unknown, of another shape or not
    finite.
    """
    wanted = flatten_dict(dict(like))
    problems = list(problems)
    problems += [f"{key} is unknown" for key in weights if key not in table and not key.endswith(COUNTER)]
    found: dict[KeyPath, np.ndarray] = {}
    for key, (path, axes) in table.items():
        if key not in weights:
            problems.append(f"{key} is missing")
            continue
        array = weights[key]
        if axes and array.ndim != len(axes):
            problems.append(f"{key} has {array.ndim} axes, not {len(axes)}")
            continue
        array = array.transpose(axes) if axes else array
        if array.shape != wanted[path].shape:
            problems.append(f"{key} has shape {array.shape} in jaxcolor's order, not {wanted[path].shape}")
        elif not np.isfinite(array).all():
            problems.append(f"{key} has numbers that are not finite")
        found[path] = np.ascontiguousarray(array, wanted[path].dtype)
    report(problems, f"{what} do not fit this network")
    return unflatten_dict(found)


def to_torch(
    variables: Mapping[str, Any], table: Table, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """Return PyTorch's weights from variables. `shapes` are the shapes of PyTorch's network.

    Raises `UserError` with all variables that are missing, unknown or of another shape.
    """
    ours = flatten_dict(dict(variables))
    paths = {place.path for place in table.values()}
    problems = [f"{'/'.join(path)} is unknown" for path in ours if path not in paths]
    found = {}
    for key, (path, axes) in table.items():
        if path not in ours:
            problems.append(f"{'/'.join(path)} is missing")
            continue
        array = np.asarray(ours[path])
        if axes and array.ndim != len(axes):
            problems.append(f"{'/'.join(path)} has {array.ndim} axes, not {len(axes)}")
            continue
        array = array.transpose(np.argsort(axes)) if axes else array
        if array.shape != shapes[key]:
            problems.append(f"{'/'.join(path)} has, as {key}, shape {array.shape}, not {shapes[key]}")
        found[key] = array.copy()
    report(problems, "the variables do not fit this PyTorch network")
    return found


def report(problems: list[str], what: str, shown: int = 10) -> None:
    """Raise `UserError` with all problems, or with the first `shown` of them."""
    if problems:
        problems = sorted(problems)
        more = [f"and {len(problems) - shown} more"] if len(problems) > shown else []
        raise UserError(f"{what}: {'; '.join([*problems[:shown], *more])}")
