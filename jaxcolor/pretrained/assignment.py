"""The keys of the assignment's networks in PyTorch."""

from collections.abc import Iterable, Sequence

from jaxcolor.pretrained.keys import Table, batch_norm, conv

TRANSPOSED_KERNEL = (2, 3, 0, 1)  # IOHW → HWIO


def table(blocks: int, transposed: Sequence[str] = ()) -> Table:
    """Return the table of a network with that many blocks and a convolution after them.

    `transposed` are the blocks with a transposed convolution.
    """
    found: Table = {}
    for block in (f"layer{i}" for i in range(1, blocks + 1)):
        found |= conv(f"{block}.conv", (block, "conv"), bias=True)
        found |= batch_norm(f"{block}.norm", (block, "norm"))
        if block in transposed:
            weight = f"{block}.conv.weight"
            found[weight] = found[weight]._replace(axes=TRANSPOSED_KERNEL)
    last = f"layer{blocks + 1}"
    return found | conv(last, (last,), bias=True)


POOLED = table(5)  # of the CNN and the UNets
STRIDED = table(4, transposed=("layer3", "layer4"))  # of the networks since 2021


def table_for(names: Iterable[str]) -> Table:
    """Return the table of a network from the names of its layers, or of its weights in PyTorch."""
    return POOLED if any(name.startswith("layer6") for name in names) else STRIDED
