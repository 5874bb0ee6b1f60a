"""The ways to run the PyTorch program: everything that might make it faster, as one would switch it on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from jaxcolor.errors import UserError

Precision = Literal["float32", "tf32", "bfloat16"]


@dataclass(frozen=True)
class Variant:
    """A memory layout, and how `torch.compile` is used."""

    name: str
    channels_last: bool = False
    mode: Literal[None, "default", "reduce-overhead"] = None  # the latter: CUDA graphs

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of a model and its inputs, compiled where this variant is."""
        return torch.compile(function, mode=self.mode) if self.mode else function


VARIANTS = (
    Variant("eager"),
    Variant("channels_last", channels_last=True),
    Variant("compile", mode="default"),
)
GPU_VARIANTS = (
    *VARIANTS,
    Variant("compile+channels_last", channels_last=True, mode="default"),
    Variant("reduce-overhead", mode="reduce-overhead"),
    Variant("reduce-overhead+channels_last", channels_last=True, mode="reduce-overhead"),
)


def variants(device: torch.device) -> tuple[Variant, ...]:
    """Those that make sense on a device."""
    return GPU_VARIANTS if device.type == "cuda" else VARIANTS


def choose_variants(names: Sequence[str]) -> tuple[Variant, ...]:
    """The variants on this machine's device, or those of them that are named."""
    available = {variant.name: variant for variant in variants(choose_device())}
    unknown = [name for name in names if name not in available]
    if unknown:
        raise UserError(f"no variant {' '.join(unknown)} of PyTorch: this device has {', '.join(available)}")
    return tuple(available[name] for name in names or available)


def choose_device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def set_precision(precision: Precision, device: torch.device) -> None:
    """How float32 is multiplied on a GPU: as it is, or as TF32; bfloat16 leaves what remains as TF32."""
    if device.type == "cuda":
        fast = precision != "float32"
        torch.set_float32_matmul_precision("high" if fast else "highest")
        torch.backends.cudnn.allow_tf32 = fast
        torch.backends.cudnn.benchmark = True
