"""The devices of a run: each computes an equal share of every batch, and holds a copy of everything else.

XLA divides the program (arXiv:2105.04663). Sums over a batch become sums over all devices, and so losses,
gradients and the statistics of BatchNorm are those of the whole batch.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxcolor.errors import UserError

Tree = TypeVar("Tree")


class Devices:
    """All devices of each process, or the first `number` of them. Raises `UserError` if there are fewer.

    With one device nothing is placed, and programs are compiled as without this class. With `own`, only the
    devices of this process are used, for work that each process does for itself.
    """

    def __init__(self, number: int | None = None, own: bool = False):
        found = jax.local_devices()
        if number is not None and number > len(found):
            kind = found[0].platform.upper()
            raise UserError(f"--devices {number} is too many: JAX finds {len(found)} ({kind})")
        if jax.device_count() != jax.process_count() * len(found):
            raise UserError("the processes have different numbers of devices: start them on equal machines")
        processes = [jax.process_index()] if own else range(jax.process_count())
        chosen = [device for process in processes for device in jax.local_devices(process)[:number]]
        self.count = len(chosen)
        mesh = Mesh(np.array(chosen), ("batch",))
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
        if jax.process_count() == 1:
            return jax.device_put(leaf, self._copies)
        return jax.make_array_from_process_local_data(self._copies, np.asarray(leaf))

    def rows(self, batch: int) -> slice:
        """Return the rows of a batch that this process reads. The number of rows divides by `count`."""
        share = batch // jax.process_count()
        return slice(jax.process_index() * share, (jax.process_index() + 1) * share)

    def divide(self, rows: Tree) -> Tree:
        """Put an equal share of a batch on each device. Each process gives the `rows` that it has read."""
        if self.count == 1:
            return rows
        return jax.tree.map(partial(jax.make_array_from_process_local_data, self._shares), rows)

    def keep_divided(self, batch: Tree) -> Tree:
        """Return a batch whose rows are divided, in a function that is compiled."""
        return batch if self.count == 1 else jax.lax.with_sharding_constraint(batch, self._shares)

    def keep_copied(self, tree: Tree) -> Tree:
        """Return arrays of which each device has a copy, in a function that is compiled."""
        return tree if self.count == 1 else jax.lax.with_sharding_constraint(tree, self._copies)


def map_images(function: Callable[[Any], Tree], batch: Any, devices: int) -> Tree:
    """Apply a function to each image of a batch: to one at a time on each of the devices that share it."""
    shares = jax.tree.map(lambda array: array.reshape(devices, -1, *array.shape[1:]), batch)
    results = jax.vmap(partial(jax.lax.map, function))(shares)
    return jax.tree.map(lambda array: array.reshape(-1, *array.shape[2:]), results)
