"""A backbone of two convolutions with pretrained weights, for tests in which the backbone does not matter.

`python tiny_backbone.py SCRIPT OPTION…` runs a script that can also use this backbone.
"""

import runpy
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.typing import DTypeLike
from pth_files import write_weights

from jaxcolor.layers import ConvNorm
from jaxcolor.layers.conv_norm import Features, Images, Valid
from jaxcolor.models import heads, variables
from jaxcolor.models.backbones import BACKBONES, Backbone
from jaxcolor.pretrained.keys import Table, conv_norm
from jaxcolor.segmentation import model

NAME = "tiny"
CONVOLUTIONS = {"stem": (3, 4, 3), "last": (4, 6, 1)}  # name → channels in, channels out, kernel size
WIDTH = 8  # of the head


class TinyBackbone(nn.Module):
    """Return features at strides of 4 to 32, or the output stride, with 4, 4, 4 and 6 channels.

    The finer ones repeat those at the output stride.
    """

    output_stride: int = 16
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Images, *, train: bool, valid: Valid | None = None) -> tuple[Features, ...]:
        middle = ConvNorm(4, 3, stride=self.output_stride, dtype=self.dtype, name="stem")(
            x, train=train, valid=valid
        )
        last = ConvNorm(6, dtype=self.dtype, name="last")(middle, train=train, valid=valid)
        fine = [repeated(middle, max(1, self.output_stride // stride)) for stride in (4, 8, 16)]
        return *fine, last

    def keys(self) -> Table:
        """Return the table of the weights' keys."""
        table: Table = {}
        for name in CONVOLUTIONS:
            table |= conv_norm(f"{name}.conv", f"{name}.norm", ("backbone", name))
        return table


def repeated(x: Features, times: int) -> Features:
    """Return features with each position repeated, in rows and columns."""
    return x.repeat(times, axis=1).repeat(times, axis=2)


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    """Return the weights of the backbone under PyTorch's keys."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, (ins, outs, size) in CONVOLUTIONS.items():
        found[f"{name}.conv.weight"] = rng.normal(0, (2 / (ins * size**2)) ** 0.5, (outs, ins, size, size))
        found[f"{name}.norm.weight"] = np.ones(outs)
        found[f"{name}.norm.bias"] = rng.normal(0, 0.2, outs)
        found[f"{name}.norm.running_mean"] = rng.normal(0, 0.2, outs)
        found[f"{name}.norm.running_var"] = rng.uniform(0.5, 1.5, outs)
    return found


@contextmanager
def installed(folder: Path) -> Iterator[str]:
    """Add the backbone for the body of a `with` statement, to which its name is given."""
    width = heads.WIDTH
    with patch.dict(BACKBONES):
        install(folder)
        try:
            yield NAME
        finally:
            set_width(width)


def install(folder: Path) -> None:
    """Add the backbone to the tables, with a file of weights, and make the head small."""
    path = write_weights(folder / "tiny.pth", weights())
    BACKBONES[NAME] = Backbone(TinyBackbone, 16, lambda: path)
    set_width(WIDTH)


def set_width(width: int) -> None:
    """Set the width of the head of all networks, and forget the shapes of networks with another width."""
    heads.WIDTH = width
    variables.variable_shapes.cache_clear()
    model.feature_shapes.cache_clear()
    model.logits_size.cache_clear()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        install(Path(temporary))
        sys.argv = sys.argv[1:]
        sys.path.insert(0, str(Path(sys.argv[0]).parent))
        runpy.run_path(sys.argv[0], run_name="__main__")
