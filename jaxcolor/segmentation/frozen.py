"""What is trained and what is frozen: one rule a part, an optimizer that obeys it, and a proof."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import optax

from jaxcolor.models.deeplabv3 import Trained
from jaxcolor.trees import KeyPath, flatten, unflatten

# The paths of what is trained, among parameters and BatchNorm's statistics alike.
RULES: dict[Trained, str] = {"last": r"head/classifier/.*", "head": r"head/.*", "all": r".*"}

Tree = Mapping[str, Any]


def is_trained(path: KeyPath, train: Trained) -> bool:
    """Whether training changes the parameter or statistic of this path."""
    return re.fullmatch(RULES[train], "/".join(path)) is not None


def trainable_mask(tree: Tree, train: Trained) -> dict[str, Any]:
    """True for each leaf of parameters or statistics that training changes."""
    return unflatten({path: is_trained(path, train) for path in flatten(tree)})


def trainable_part(tree: Tree, train: Trained) -> dict[str, Any]:
    """The tree without what is frozen."""
    return unflatten({path: leaf for path, leaf in flatten(tree).items() if is_trained(path, train)})


def merge(tree: Tree, part: Tree) -> dict[str, Any]:
    """The tree with some of its leaves replaced."""
    return unflatten(flatten(tree) | flatten(part))


def freeze(optimizer: optax.GradientTransformation, params: Tree, train: Trained) -> Any:
    """The optimizer for what is trained alone: frozen parameters have no state, and updates of zero.

    `optax.masked` by itself would pass the gradients of frozen parameters through as their updates.
    """
    trainable = trainable_mask(params, train)
    frozen = jax.tree.map(lambda is_trained: not is_trained, trainable)
    return optax.chain(optax.masked(optimizer, trainable), optax.masked(optax.set_to_zero(), frozen))


def fingerprint(variables: Tree, train: Trained) -> str:
    """A hash of all that is frozen, of every bit of it."""
    digest = hashlib.sha256()
    for collection in ("params", "batch_stats"):
        for path, leaf in sorted(flatten(variables[collection]).items()):
            if not is_trained(path, train):
                digest.update("/".join((collection, *path)).encode())
                digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()
