"""The settings of `jaxcolor export`. This module imports nothing heavy, so `--help` is fast."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

Format = Literal["onnx", "stablehlo", "pth", "safetensors"]


@dataclass(frozen=True)
class ExportConfig:
    """Write a trained network as a file for other programs, and a JSON file that describes it."""

    run: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """Folder of a run; photo is the network for photographs that comes with jaxcolor."""
    to: Format
    """onnx and stablehlo: the prediction, for images of any number and size. pth: the weights for PyTorch.
    safetensors: the weights by their names in jaxcolor."""
    out: Annotated[Path | None, tyro.conf.arg(help_behavior_hint="", metavar="FILE")] = None
    """File to write; the description is FILE.json. Default: the name of the run and the format."""
    checkpoint: Literal["best", "latest"] = "best"
    """Checkpoint of the run: the best, or the latest."""
