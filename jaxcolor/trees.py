"""Nested dictionaries of arrays by the paths of their leaves."""

from collections.abc import Mapping
from typing import Any

import jax

KeyPath = tuple[str, ...]  # of a leaf, from the root


def flatten(tree: Mapping[str, Any]) -> dict[KeyPath, Any]:
    """The leaves of nested dictionaries by their path."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {tuple(key.key for key in path): leaf for path, leaf in leaves}


def unflatten(leaves: Mapping[KeyPath, Any]) -> dict[str, Any]:
    """The inverse of `flatten`."""
    tree: dict[str, Any] = {}
    for path, leaf in leaves.items():
        node = tree
        for name in path[:-1]:
            node = node.setdefault(name, {})
        node[path[-1]] = leaf
    return tree
