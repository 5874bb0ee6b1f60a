"""`jaxcolor export`: a trained network as a file for other programs, and a description beside it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict
from safetensors.numpy import save

import jaxcolor
from jaxcolor.errors import UserError
from jaxcolor.export.config import ExportConfig, Format
from jaxcolor.export.programs import Model, Program, program_of
from jaxcolor.export.torch_file import torch_file
from jaxcolor.files import expand_user, write_atomically, write_json
from jaxcolor.layers.portable import portable
from jaxcolor.loading import SHIPPED, load
from jaxcolor.training.run_folder import find_run

PLATFORMS = ("cpu", "cuda")  # of StableHLO
NEEDED: dict[Format, str] = {"onnx": "onnx", "stablehlo": "flatbuffers"}  # packages of the extra `export`


@dataclass(frozen=True)
class Source:
    """A trained network, its settings in config.json, and its prediction."""

    model: Model
    settings: dict[str, Any]
    program: Program

    @property
    def variables(self) -> dict[tuple[str, ...], np.ndarray]:
        """The parameters and running averages by their paths."""
        return {path: np.asarray(leaf) for path, leaf in flatten_dict(self.model.state.averaged).items()}


def export(config: ExportConfig) -> None:
    """Write the file and its description, and print both names.

    Raises `UserError` if a package is missing, if there is no such run, or if the network cannot be exported
    in this format. Then nothing is written.
    """
    package = NEEDED.get(config.to)
    if package and not find_spec(package):
        raise UserError(f"--to {config.to} needs the package {package}: run `pip install {package}`")
    source = open_source(config.run, config.checkpoint)
    out = config.out or Path(f"{Path(config.run).absolute().name}.{config.to}")
    data, facts = WRITERS[config.to](source)
    described = {"file": out.name, "format": config.to, **facts, "jaxcolor": jaxcolor.__version__}
    write_atomically(out, lambda file: file.write(data))
    description = out.with_name(f"{out.name}.json")
    write_json(description, described | {"network": network_of(source.settings)})
    print(f"{out} ({len(data) / 1e6:.1f} MB) and {description}")


def open_source(run: str, checkpoint: Any) -> Source:
    """Return the network of a run, or the one that comes with jaxcolor."""
    model = load(run, checkpoint)
    folder = expand_user(Path(run))
    is_shipped = run == SHIPPED and not (folder / "config.json").is_file()
    settings = {"model": SHIPPED} if is_shipped else find_run(folder).read_config()["settings"]
    return Source(model, settings, program_of(model))


def network_of(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that say which network it is."""
    names = (
        "model", "filters", "colors", "kernel_size", "dilation", "downsize_input", "prior", "width",
        "backbone", "head", "output_stride", "aux",
    )  # fmt: skip
    return {name: settings[name] for name in names if settings.get(name) is not None}


def write_onnx(source: Source) -> tuple[bytes, dict[str, Any]]:
    """Return the prediction as an ONNX model."""
    # Imported late, because the package onnx is optional.
    from jaxcolor.export.onnx_model import to_onnx

    program = source.program
    traced = program.trace()
    facts = {"jaxcolor": json.dumps(program.facts)}
    model = to_onnx(traced.jaxpr, [*program.inputs], sorted(traced.out_info), facts)
    return model.SerializeToString(), program.facts


def write_stablehlo(source: Source) -> tuple[bytes, dict[str, Any]]:
    """Return the prediction as `jax.export` serializes it, for `jax.export.deserialize`."""
    program = source.program
    program.trace()  # its error is clearer
    with portable():
        exported = jax.export.export(jax.jit(program.function), platforms=PLATFORMS)(*program.arguments())
    return bytes(exported.serialize()), program.facts | {"platforms": PLATFORMS}


def write_pth(source: Source) -> tuple[bytes, dict[str, Any]]:
    """Return the weights as `torch.save` would write the state_dict of the same network in PyTorch."""
    data, network = torch_file(source.settings, source.variables)
    return data, source.program.facts | {"pytorch": network}


def write_safetensors(source: Source) -> tuple[bytes, dict[str, Any]]:
    """Return the weights by their paths in Flax, such as `params/layer1/conv/kernel`."""
    tensors = {"/".join(path): np.ascontiguousarray(leaf) for path, leaf in source.variables.items()}
    shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
    facts = source.program.facts | {"layout": "kernels [height, width, in, out]", "parameters": shapes}
    return save(tensors, {"jaxcolor": json.dumps(source.program.facts)}), facts


WRITERS: dict[Format, Callable[[Source], tuple[bytes, dict[str, Any]]]] = {
    "onnx": write_onnx,
    "stablehlo": write_stablehlo,
    "pth": write_pth,
    "safetensors": write_safetensors,
}
