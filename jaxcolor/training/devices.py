"""The devices of a run: each computes an equal share of every batch, and holds a copy of everything else.

XLA divides the program (arXiv:2105.04663). Sums over a batch become sums over all devices, and so losses,
gradients and the statistics of BatchNorm are those of the whole batch.
"""

from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxcolor.errors import UserError

Tree = TypeVar("Tree")


class Devices:
    """All devices of this machine, or the first `number` of them. Raises `UserError` if there are fewer.

    With one device nothing is placed, and programs are compiled as without this class.
    """

    def __init__(self, number: int | None = None):
        found = jax.local_devices()
        if number is not None and number > len(found):
            kind = found[0].platform.upper()
            raise UserError(f"--devices {number} is too many: JAX finds {len(found)} ({kind})")
        self.count = number or len(found)
        mesh = Mesh(np.array(found[: self.count]), ("batch",))
        self._copies = NamedSharding(mesh, PartitionSpec())
        self._shares = NamedSharding(mesh, PartitionSpec("batch"))

    def copy(self, tree: Tree) -> Tree:
        """Put a copy of arrays on each device. Shapes become those of such arrays."""
        if self.count == 1:
            return tree
        return jax.tree.map(self._copy, tree)

    def _copy(self, leaf: Any) -> Any:
        if isinstance(leaf, jax.ShapeDtypeStruct):
            return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=self._copies)
        return jax.device_put(leaf, self._copies)

    def divide(self, batch: Tree) -> Tree:
        """Put an equal share of the rows of a batch on each device. The rows divide by `count`."""
        return batch if self.count == 1 else jax.device_put(batch, self._shares)

    def keep_divided(self, batch: Tree) -> Tree:
        """Return a batch whose rows are divided, in a function that is compiled."""
        return batch if self.count == 1 else jax.lax.with_sharding_constraint(batch, self._shares)

    def keep_copied(self, tree: Tree) -> Tree:
        """Return arrays of which each device has a copy, in a function that is compiled."""
        return tree if self.count == 1 else jax.lax.with_sharding_constraint(tree, self._copies)
