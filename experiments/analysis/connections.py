"""Weights, outputs and connections of each layer as tables, and of the plain networks as formulas."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from itertools import groupby
from math import prod
from pathlib import Path
from typing import Any

from analysis.config import NAMES, AnalyzeConfig, network_name
from analysis.polynomials import recover
from analysis.report import Results, table
from analysis.tracing import COUNTS, Layer, total, trace, trace_layers
from jaxcolor.colorization.config import ColorizeConfig
from jaxcolor.models import CNN, ConvTransposeNet

WITH_FORMULAS: dict[str, type[CNN | ConvTransposeNet]] = {"cnn": CNN, "conv-transpose": ConvTransposeNet}
# The formulas are recovered from these settings of the networks, and checked with others.
GRID = {"k": (1, 3, 5), "NC": (1, 2, 3), "NF": (1, 2, 3), "NIC": (1, 2, 3)}
CHECKS = ((7, 5, 4, 6), (ColorizeConfig.kernel_size, ColorizeConfig.colors, ColorizeConfig.filters, 1))

REPORTED = ("resnet50", "resnet101", "efficientnet-lite0")  # backbones, each with the head of DeepLabV3
INTRODUCTION = """\
All numbers are recorded while JAX traces the networks, and are per image.

- Weights are the trainable parameters of a layer: kernel, bias, and BatchNorm's scale and shift.
- Outputs are the numbers that leave a layer, after pooling or upsampling.
- Connections are k² · input channels · positions · output channels, as the assignment counts them. Positions
  are those of the convolution, before pooling or upsampling, and for a transposed convolution those of its
  input. A depthwise kernel has one input channel.
- Multiply-adds are the connections that lead to a pixel, not to the zeros around the image.
- The layers of a DeepLabV3 are summed by stage: consecutive blocks with the same output channels are one
  stage. Logits are counted at the size of the features, before upsampling."""
FORMULAS = """\
The formulas are recovered by exact interpolation from the counts at {nodes} settings of the kernel size k,
the colors NC, the filters NF and the input channels NIC. They equal the counts at {checks} other settings."""
OF_PUBLISHED = "The published formulas, and the differences, are for NIC = 1."


@cache
def count(network: str, size: int, k: int, nc: int, nf: int, nic: int) -> dict[str, int]:
    """Return the totals of a network with these settings, for images of `size`² pixels."""
    return total(trace_layers(WITH_FORMULAS[network](nf, nc, k), (size, size, nic)))


def published_weights(k: int, nc: int, nf: int) -> int:
    """Return the published answer, for one input channel."""
    return k**2 * (nc**2 + nc * nf + 8 * nf**2 + nf) + 4 * nc + 18 * nf


def published_connections_32(k: int, nc: int, nf: int) -> int:
    """Return the published answer for 32×32 pixels and one input channel."""
    return k**2 * (1024 * nc**2 + 256 * nc * nf + 896 * nf**2 + 1024 * nf)


def published_connections_64(k: int, nc: int, nf: int) -> int:
    """Return the published answer for 64×64, with its slip: the NF² terms of its own table sum to 4 · 896."""
    return k**2 * (4096 * nc**2 + 1024 * nc * nf + 5120 * nf**2 + 4096 * nf)


PUBLISHED: dict[tuple[str, str, int], Callable[[int, int, int], int]] = {
    ("cnn", "weights", 32): published_weights,
    ("cnn", "weights", 64): published_weights,
    ("cnn", "connections", 32): published_connections_32,
    ("cnn", "connections", 64): published_connections_64,
}


def formula(network: str, quantity: str, size: int) -> dict[str, Any]:
    """Return a total of a network as a polynomial, the published one, and the difference."""

    def traced(k: int, nc: int, nf: int, nic: int = 1) -> int:
        return count(network, size, k, nc, nf, nic)[quantity]

    result = {"quantity": quantity, "size": size, "traced": str(recover(traced, GRID, CHECKS))}
    published = PUBLISHED.get((network, quantity, size))
    if published is None:
        return result | {"published": None, "difference": None}
    grid = {name: points for name, points in GRID.items() if name != "NIC"}
    checks = [check[: len(grid)] for check in CHECKS]
    difference = recover(lambda *one: traced(*one) - published(*one), grid, checks)
    return result | {"published": str(recover(published, grid, checks)), "difference": str(difference)}


def measure(config: AnalyzeConfig) -> Results:
    """Return the layers of all networks at all sizes, and the formulas of the plain ones."""
    sizes = list(dict.fromkeys(config.image_size))
    return {
        "networks": {
            name: [{"size": n, "layers": [layer._asdict() for layer in trace(name, n)]} for n in sizes]
            for name in dict.fromkeys((*NAMES, config.model, *REPORTED))
        },
        "formulas": {
            network: [formula(network, quantity, size) for quantity in COUNTS[:3] for size in sizes]
            for network in WITH_FORMULAS
        },
        "settings": {"nodes": prod(map(len, GRID.values())), "checks": len(CHECKS)},
    }


def render(results: Results, folder: Path) -> str:
    """Return the section of the report; it has no plots."""
    text = [INTRODUCTION]
    for name, traced in results["networks"].items():
        networks = {each["size"]: [Layer(**layer) for layer in each["layers"]] for each in traced}
        if name not in REPORTED:
            title = network_name(name)
            text += [f"### {title[0].upper()}{title[1:]}", _layers_table(networks)]
        else:
            text += [f"### DeepLabV3 on {name}", _describe(networks), _stages_table(networks)]
        if name in WITH_FORMULAS:
            explained = FORMULAS.format(**results["settings"])
            if any(key[0] == name for key in PUBLISHED):
                explained += f"\n{OF_PUBLISHED}"
            formulas = _formulas_table(results["formulas"][name])
            text += [f"### The {network_name(name)} in formulas", explained, formulas]
    return "\n\n".join(text)


def _layers_table(networks: Mapping[int, Sequence[Layer]]) -> str:
    """Return a table with a row per layer, and columns per image size."""
    header = ["", "kernel", "channels", "positions", *_count_columns(networks)]
    rows = []
    for layers in zip(*networks.values(), strict=True):
        one = layers[0]
        kernel, channels = f"{one.kernel_size}×{one.kernel_size}", f"{one.channels_in} → {one.channels_out}"
        positions = ", ".join(f"{layer.rows}×{layer.columns}" for layer in layers)
        rows.append([one.name, kernel, channels, positions, *_counts([layer] for layer in layers)])
    rows.append(["total", "", "", "", *_counts(networks.values())])
    return table(header, rows)


def _stages_table(networks: Mapping[int, Sequence[Layer]]) -> str:
    """Return a table with a row per stage, and columns per image size."""
    rows = []
    for same in zip(*map(stages, networks.values()), strict=True):
        rows.append([stage_name(same[0]), len(same[0]), *_counts(same)])
    first, *_ = networks.values()
    rows.append(["total", len(first), *_counts(networks.values())])
    return table(["", "convolutions", *_count_columns(networks)], rows)


def _count_columns(sizes: Collection[int]) -> list[str]:
    counts = [count.replace("_", "-") for count in COUNTS[1:]]
    return ["weights", *(f"{count}, {size}×{size}" for count in counts for size in sizes)]


def _counts(same: Iterable[Sequence[Layer]]) -> list[str]:
    """Return the cells of a row. `same` holds the same layers at each image size."""
    totals = [total(layers) for layers in same]
    weights = totals[0]["weights"]
    return [f"{weights:,}", *(f"{each[count]:,}" for count in COUNTS[1:] for each in totals)]


def stages(layers: Sequence[Layer]) -> list[list[Layer]]:
    """Return the layers of a DeepLabV3 by stage.

    A stage is a part of the head, or consecutive blocks with the same output channels.
    """
    blocks = [list(block) for _, block in groupby(layers, _part)]
    alike = groupby(blocks, lambda block: (re.sub(r"_?\d+$", "", _part(block[0])), block[-1].channels_out))
    return [[layer for block in stage for layer in block] for _, stage in alike]


def stage_name(stage: Sequence[Layer]) -> str:
    """Return the names of the first and the last block: `block1–block2`."""
    return "–".join(dict.fromkeys(_part(layer) for layer in (stage[0], stage[-1])))


def _part(layer: Layer) -> str:
    return layer.name.split("/")[1]


def _describe(networks: Mapping[int, Sequence[Layer]]) -> str:
    """Describe classes and features of a DeepLabV3."""
    last = {size: layers[-1] for size, layers in networks.items()}
    classes = next(iter(last.values())).channels_out
    features = ", ".join(f"{one.rows}×{one.columns} for {size}×{size}" for size, one in last.items())
    return f"{classes} classes; features of {features}."


def _formulas_table(formulas: Sequence[Mapping[str, Any]]) -> str:
    """Return a table with a row per quantity; sizes with the same formulas share a row."""
    header = {"traced": "traced", "published": "published", "difference": "traced − published"}
    if not any(one["published"] for one in formulas):
        header = {"traced": "traced"}
    rows = []
    for (quantity, *texts), same in groupby(
        formulas, lambda one: [one[key] for key in ("quantity", *header)]
    ):
        sizes = " and ".join(f"{one['size']}×{one['size']}" for one in same)
        rows.append([f"{quantity}, {sizes}", *(text or "" for text in texts)])
    return table(["", *header.values()], rows)
