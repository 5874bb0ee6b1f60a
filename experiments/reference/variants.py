"""The variants of the PyTorch program: each of the usual ways to make it faster, and their combinations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from jaxcolor.errors import UserError

Precision = Literal["float32", "tf32", "bfloat16"]


@dataclass(frozen=True)
class Variant:
    """A memory layout, and a mode of `torch.compile`."""

    name: str
    channels_last: bool = False
    mode: Literal[None, "default", "reduce-overhead"] = None  # reduce-overhead: CUDA graphs

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function`, compiled if the variant has a mode."""
        return torch.compile(function, mode=self.mode) if self.mode else function


CPU_VARIANTS = (
    Variant("eager"),
    Variant("channels_last", channels_last=True),
    Variant("compile", mode="default"),
)
GPU_VARIANTS = (
    *CPU_VARIANTS,
    Variant("compile+channels_last", channels_last=True, mode="default"),
    Variant("reduce-overhead", mode="reduce-overhead"),
    Variant("reduce-overhead+channels_last", channels_last=True, mode="reduce-overhead"),
)


def choose_variants(names: Sequence[str]) -> tuple[Variant, ...]:
    """Return the variants with these names, or without names all variants for this machine's device.

    Raises `UserError` if the device has no variant of a name.
    """
    variants = GPU_VARIANTS if choose_device().type == "cuda" else CPU_VARIANTS
    available = {variant.name: variant for variant in variants}
    unknown = [name for name in names if name not in available]
    if unknown:
        raise UserError(
            f"PyTorch has no variant {' '.join(unknown)} on this device: choose from {', '.join(available)}"
        )
    return tuple(available[name] for name in names or available)


def choose_device() -> torch.device:
    """Return the GPU if there is one, and otherwise the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def set_precision(precision: Precision, device: torch.device) -> None:
    """Set the arithmetic of float32 products on a GPU: TF32 for "tf32" and "bfloat16", else float32.

    For "bfloat16" the caller also uses autocast.
    """
    if device.type == "cuda":
        fast = precision != "float32"
        torch.set_float32_matmul_precision("high" if fast else "highest")
        torch.backends.cudnn.allow_tf32 = fast
        torch.backends.cudnn.benchmark = True
