"""Which parameters are trainable: one rule, which the optimizer, the gradient and checkpoints follow."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import optax
from flax.traverse_util import flatten_dict, unflatten_dict

Path = tuple[str, ...]  # the keys from the root of a tree to a leaf
Tree = Mapping[str, Any]


@dataclass(frozen=True)
class Trainable:
    """The leaves whose path, joined by "/", matches the regular expression `pattern`.

    The rule covers parameters and BatchNorm's running averages alike. All other leaves are frozen.
    `optax.masked(optimizer, rule.mask)` leaves them out of the optimizer; in trees of gradients and updates
    they are `optax.MaskedNode()`.
    """

    pattern: str = ".*"

    def __call__(self, path: Path) -> bool:
        """Return whether the leaf at `path` is trainable."""
        return re.fullmatch(self.pattern, "/".join(path)) is not None

    def mask(self, tree: Tree) -> dict[str, Any]:
        """Return a tree with True for trainable leaves and False for frozen ones."""
        return self._map(lambda path, leaf: self(path), tree)

    def select(self, tree: Tree) -> dict[str, Any]:
        """Return the tree with `optax.MaskedNode()` in place of frozen leaves."""
        return self._map(lambda path, leaf: leaf if self(path) else optax.MaskedNode(), tree)

    def merge(self, tree: Tree, part: Tree) -> dict[str, Any]:
        """Return the tree with the trainable leaves of `part`; `part` may lack frozen leaves."""
        leaves = flatten_dict(part)
        return self._map(lambda path, leaf: leaves[path] if self(path) else leaf, tree)

    def fingerprint(self, variables: Tree) -> str:
        """Return a hash of every bit of all frozen leaves, in hexadecimal."""
        digest = hashlib.sha256()
        for path, leaf in sorted(flatten_dict(dict(variables)).items()):
            if not self(path[1:]):  # without the collection, `params` or `batch_stats`
                digest.update("/".join(path).encode())
                digest.update(np.ascontiguousarray(jax.device_get(leaf)).tobytes())
        return digest.hexdigest()

    def _map(self, function: Callable[[Path, Any], Any], tree: Tree) -> dict[str, Any]:
        return unflatten_dict({path: function(path, leaf) for path, leaf in flatten_dict(tree).items()})


EVERYTHING = Trainable()
