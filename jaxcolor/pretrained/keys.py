"""PyTorch's weights as variables of jaxcolor and back, by one table of keys per network."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import dtypes

from jaxcolor.errors import UserError

KeyPath = tuple[str, ...]  # the keys from the root of a tree of variables to a leaf


class Place(NamedTuple):
    """The path of a weight in jaxcolor, and the order of PyTorch's axes there."""

    path: KeyPath
    axes: tuple[int, ...] | None = None


class Problem(NamedTuple):
    """What is wrong with a key, and what is wrong with several such keys."""

    key: str
    one: str
    several: str


Table = dict[str, Place]
KERNEL = (2, 3, 1, 0)  # OIHW → HWIO; for a depthwise kernel [channel, 1, h, w] → [h, w, 1, channel], too
# PyTorch counts batches, and uses the count only for a BatchNorm without momentum. jaxcolor does not count.
COUNTER = ".num_batches_tracked"
MISSING = ("is missing", "are missing")
UNKNOWN = ("is unknown", "are unknown")
TWICE = ("is there twice", "are there twice")
NOT_FINITE = ("has numbers that are not finite", "have numbers that are not finite")
NEGATIVE = ("has negative variances", "have negative variances")


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


def conv_norm(convolution: str, norm: str, path: KeyPath) -> Table:
    """Return the table of a `ConvNorm`, which is two layers in PyTorch."""
    return conv(convolution, path) | batch_norm(norm, (*path, "norm"))


def from_torch(
    weights: Mapping[str, np.ndarray],
    table: Table,
    like: Mapping[str, Any],
    problems: Iterable[Problem] = (),
    what: str = "the PyTorch weights do not fit this network",
) -> dict[str, Any]:
    """Return the variables of a network from PyTorch's weights. `like` has their shapes and dtypes.

    Raises `UserError` with `problems` and with all keys that are missing, unknown, of another shape, not
    finite, not of floating-point numbers, or of negative variances. The error starts with `what`.
    """
    wanted = flatten_dict(dict(like))
    problems = list(problems)
    problems += [Problem(key, *UNKNOWN) for key in weights if key not in table and not key.endswith(COUNTER)]
    found: dict[KeyPath, np.ndarray] = {}
    for key, (path, axes) in table.items():
        if key not in weights:
            problems.append(Problem(key, *MISSING))
            continue
        array, shape = weights[key], wanted[path].shape
        if not dtypes.issubdtype(array.dtype, np.floating):
            problems.append(_not_floating(key, array.dtype))
            continue
        if axes and array.ndim != len(axes):
            problems.append(_other_shape(key, f"has {array.ndim} axes, not {len(axes)}"))
            continue
        array = array.transpose(axes) if axes else array
        if array.shape != shape:
            problems.append(_other_shape(key, f"has shape {array.shape} in jaxcolor's order, not {shape}"))
            continue
        with np.errstate(over="ignore"):  # what is too large becomes infinite
            found[path] = np.ascontiguousarray(array, wanted[path].dtype)
        if not np.isfinite(found[path]).all():
            problems.append(Problem(key, *NOT_FINITE))
        elif path[-1] == "variance" and (found[path] < 0).any():
            problems.append(Problem(key, *NEGATIVE))
    report(problems, what)
    return unflatten_dict(found)


def _other_shape(key: str, text: str) -> Problem:
    return Problem(key, text, "have another shape")


def _not_floating(key: str, dtype: np.dtype) -> Problem:
    return Problem(key, f"has numbers of type {dtype}, not floats", "have numbers that are not floats")


def to_torch(
    variables: Mapping[str, Any], table: Table, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """Return PyTorch's weights from variables. `shapes` are the shapes of PyTorch's network.

    Raises `UserError` with all variables that are missing, unknown or of another shape.
    """
    ours = flatten_dict(dict(variables))
    paths = {place.path for place in table.values()}
    problems = [Problem("/".join(path), *UNKNOWN) for path in ours if path not in paths]
    found = {}
    for key, (path, axes) in table.items():
        name = "/".join(path)
        if path not in ours:
            problems.append(Problem(name, *MISSING))
            continue
        array = np.asarray(ours[path])
        if axes and array.ndim != len(axes):
            problems.append(_other_shape(name, f"has {array.ndim} axes, not {len(axes)}"))
            continue
        array = array.transpose(np.argsort(axes)) if axes else array
        if array.shape != shapes[key]:
            problems.append(_other_shape(name, f"has, as {key}, shape {array.shape}, not {shapes[key]}"))
        found[key] = array.copy()
    report(problems, "the variables do not fit this PyTorch network")
    return found


def report(problems: Iterable[Problem], what: str) -> None:
    """Raise `UserError` with all problems, of which three or more of a kind are put together."""
    groups: dict[str, list[Problem]] = {}
    for problem in sorted(problems):
        groups.setdefault(problem.several, []).append(problem)
    texts: list[tuple[str, str]] = []  # each with its first key, in whose order they are shown
    for several, group in groups.items():
        keys, first = [problem.key for problem in group], group[0]
        if len(group) <= 2:
            texts += [(key, f"{_printable(key)} {one}") for key, one, _ in group]
        elif len({problem.one for problem in group}) == 1:
            texts.append((first.key, f"{list_keys(keys)} {several}"))
        else:
            more = f"and {len(group) - 1} more {several}"
            texts.append((first.key, f"{_printable(first.key)} {first.one}, {more}"))
    if texts:
        raise UserError(f"{what}: {'; '.join(text for _, text in sorted(texts))}")


def list_keys(keys: Sequence[str]) -> str:
    """Return the first two keys and the number of the others, for a line of text."""
    more = [f"{len(keys) - 2} more"] if len(keys) > 2 else []
    *first, last = [*map(_printable, keys[:2]), *more]
    return f"{', '.join(first)} and {last}" if first else last


def _printable(key: str) -> str:
    """Return a key on one line. A file may hold any."""
    return key if key.isprintable() else ascii(key)
