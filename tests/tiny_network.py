"""A network of two convolutions that colors images, for tests in which the network does not matter.

`python tiny_network.py SCRIPT OPTION…` runs a script that can also use this network.
"""

import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from jaxcolor.layers import Conv2d
from jaxcolor.models import MODELS
from jaxcolor.models.cnn import Block, Images, Logits, Valid

NAME = "tiny"


class TinyNetwork(nn.Module):
    """Return logits from a convolution, BatchNorm, ReLU and a 1×1 convolution."""

    filters: int = 4
    colors: int = 6
    kernel_size: int = 3
    dilation: int = 1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Images, *, train: bool = False, valid: Valid | None = None) -> Logits:
        # XLA's own convolutions, as in nn.Conv, do not repeat every bit.
        block = Block(self.filters, self.kernel_size, dilation=self.dilation, dtype=self.dtype, name="first")
        return Conv2d(self.colors, 1, dtype=self.dtype, name="last")(block(x, train=train, valid=valid))


def install() -> None:
    """Add the network to the choices of `--model`."""
    MODELS[NAME] = TinyNetwork


@contextmanager
def installed() -> Iterator[str]:
    """Add the network for the body of a `with` statement, to which its name is given."""
    with patch.dict(MODELS):
        install()
        yield NAME


if __name__ == "__main__":
    install()
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
