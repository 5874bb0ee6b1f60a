"""State dicts in users' files: the dictionary that holds one, and the prefix of its keys."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

# The entries under which training programs save the weights, beside the epoch, the optimizer and others.
ENTRIES = ("model", "state_dict", "model_state", "model_state_dict", "module", "net")
MAX_DEPTH = 4  # of such entries inside each other
ANY_DEPTH = 2  # of other entries: those of an optimizer lie deeper
MAX_WRAPPERS = 8  # components of a prefix


class StateDict(NamedTuple):
    """The tensors of a file, by their keys."""

    arrays: dict[str, np.ndarray]
    duplicates: list[str]  # the keys that are there twice
    entry: tuple[str, ...]  # the entries that lead to the tensors


def find_state_dicts(value: Any, tensor: type) -> list[tuple[tuple[str, ...], dict]]:
    """Return the dictionaries that hold tensors, with the entries that lead to them.

    What lies under `ENTRIES` comes first, then dictionaries of tensors alone under any entry, such as "ema",
    unless `value` itself holds more tensors.
    """
    found = _find_under_entries(value, tensor, ())
    if found and found[0][1] is not value:
        return found
    tensors = sum(isinstance(item, tensor) for item in value.values()) if found else 0
    return [pair for pair in _find_anywhere(value, tensor, ()) if len(pair[1]) > tensors] or found


def _find_anywhere(value: Any, tensor: type, entry: tuple[str, ...]) -> list[tuple[tuple[str, ...], dict]]:
    """Return the outermost dictionaries of tensors alone, to a depth of `ANY_DEPTH`."""
    if not isinstance(value, dict) or not value:
        return []
    if all(isinstance(item, tensor) for item in value.values()):
        return [(entry, value)]
    if len(entry) == ANY_DEPTH:
        return []
    return [
        pair for name, item in value.items() for pair in _find_anywhere(item, tensor, (*entry, str(name)))
    ]


def _find_under_entries(
    value: Any, tensor: type, entry: tuple[str, ...]
) -> list[tuple[tuple[str, ...], dict]]:
    """Return the dictionaries that hold tensors: `value` itself, or those under its `ENTRIES`."""
    if not isinstance(value, dict):
        return []
    nested = [name for name in ENTRIES if name in value and len(entry) < MAX_DEPTH]
    found = [pair for name in nested for pair in _find_under_entries(value[name], tensor, (*entry, name))]
    if found or not any(isinstance(item, tensor) for item in value.values()):
        return found
    return [(entry, value)]


def find_prefixes(keys: Iterable[str], spellings: Mapping[str, str], needed: int) -> list[str]:
    """Return the prefixes under which at least `needed` keys are among `spellings`, such as "module."."""
    counts: Counter[str] = Counter()
    for key in keys:
        parts = key.split(".")
        for start in range(min(len(parts), MAX_WRAPPERS + 1)):
            if ".".join(parts[start:]) in spellings:
                counts["".join(f"{part}." for part in parts[:start])] += 1
                break
    return sorted(prefix for prefix, count in counts.items() if count >= needed)
