"""The variables of a network: their shapes, and initial values of those that no file has."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

EXAMPLE = (1, 64, 64, 3)  # images to initialize with


@cache
def variable_shapes(model: nn.Module) -> dict[str, Any]:
    """Return the shapes and dtypes of the variables of a network that takes color images."""
    return dict(jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(EXAMPLE)))


def with_initialized(model: nn.Module, variables: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return `variables` with every missing leaf, which is a `ShapeDtypeStruct`, initialized.

    Only the missing leaves are computed: random numbers for all of a ResNet-101 take half a minute to
    compile.
    """
    leaves = flatten_dict(dict(variables))
    missing = {path for path, leaf in leaves.items() if isinstance(leaf, jax.ShapeDtypeStruct)}

    @jax.jit
    def initialize(key: jax.Array) -> dict[tuple[str, ...], jax.Array]:
        all_leaves = flatten_dict(dict(model.init(key, jnp.zeros(EXAMPLE))))
        return {path: leaf for path, leaf in all_leaves.items() if path in missing}

    new = initialize(jax.random.key(seed)) if missing else {}
    return jax.tree.map(jnp.asarray, unflatten_dict(leaves | new))
