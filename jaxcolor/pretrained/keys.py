"""Weights under PyTorch's names as ours and back, by one table a network."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxcolor.errors import UserError
from jaxcolor.trees import KeyPath, flatten, unflatten


class Place(NamedTuple):
    """Where a weight of PyTorch's is kept among ours, and the order of PyTorch's axes in ours."""

    path: KeyPath
    axes: tuple[int, ...] | None = None


Table = dict[str, Place]
KERNEL = (2, 3, 1, 0)  # OIHW → HWIO; for a depthwise kernel [channel, 1, h, w] → [h, w, 1, channel], too
# PyTorch counts batches, and uses the count only where BatchNorm has no momentum. We do not count.
COUNTER = ".num_batches_tracked"


def conv(key: str, path: KeyPath, bias: bool = False) -> Table:
    """The table of a convolution."""
    table = {f"{key}.weight": Place(("params", *path, "kernel"), KERNEL)}
    return table | ({f"{key}.bias": Place(("params", *path, "bias"))} if bias else {})


def batch_norm(key: str, path: KeyPath) -> Table:
    """The table of a BatchNorm."""
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
    """Our variables from PyTorch's weights; `like` are variables of the same network.

    Raises `UserError` with all keys that are missing, unknown, of another shape or not of finite numbers, and
    with `problems`.
    """
    wanted = flatten(like)
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
            problems.append(f"{key} has, as ours, shape {array.shape}, not {wanted[path].shape}")
        elif not np.isfinite(array).all():
            problems.append(f"{key} has numbers that are not finite")
        found[path] = np.ascontiguousarray(array, wanted[path].dtype)
    report(problems, f"{what} do not fit this network")
    return unflatten(found)


def to_torch(
    variables: Mapping[str, Any], table: Table, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """PyTorch's weights from our variables; `shapes` are those that its network has.

    Raises `UserError` with all of ours that are missing, unknown or of another shape.
    """
    ours = flatten(variables)
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
    report(problems, "our weights do not fit this PyTorch network")
    return found


def report(problems: list[str], what: str, shown: int = 10) -> None:
    """Raise a `UserError` with all problems, or the first of very many."""
    if problems:
        problems = sorted(problems)
        more = [f"and {len(problems) - shown} more"] if len(problems) > shown else []
        raise UserError(f"{what}: {'; '.join([*problems[:shown], *more])}")
