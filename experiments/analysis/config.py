"""The settings of an analysis. This module imports nothing heavy, so `--help` is fast."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, get_args

from jaxcolor.colorization.config import DEFAULTS
from jaxcolor.data.classes import Category
from jaxcolor.errors import UserError
from jaxcolor.training.config import FolderConfig, require

Part = Literal["networks", "ablation", "connections", "input-change", "skips", "batch-sizes", "memory"]
Variant = Literal[
    "own", "no-prior", "adam", "constant", "cosine", "warm-up", "no-flip", "no-shift", "same-order",
    "label-smoothing", "no-average",
]  # fmt: skip
PARTS: tuple[Part, ...] = get_args(Part)
VARIANTS: tuple[Variant, ...] = get_args(Variant)
NAMES = {
    "cnn": "CNN", "unet": "UNet", "dunet": "dilated UNet", "conv-transpose": "ConvTransposeNet",
    "strided-unet": "strided UNet", "resunet": "ResUNet",
}  # fmt: skip


def network_name(model: str) -> str:
    """Return the name of a network in the report: that of `--model` for a network of one's own."""
    return NAMES.get(model, model)


@dataclass(frozen=True)
class AnalyzeConfig(FolderConfig):
    """Answer the assignment's questions with tables and plots.

    The report is runs/analysis/report.md. --resume skips finished trainings.
    """

    TASK: ClassVar = "analyze"
    GROUPS: ClassVar = {"analysis": "parts", "training": "model", "data": "dataset", "folder": "name"}
    MEMORY: ClassVar = ("batch_size", "batch_sizes", "memory_sizes")

    parts: tuple[Part, ...] = PARTS
    """Questions: scores of all networks; the effect of each setting of the ResUNet's training; weights,
    outputs and connections of each layer; pixels x that become a·x + b; skip connections; batch sizes;
    memory of training a part or everything."""
    quick: bool = False
    """All parts in a few minutes on the built-in sample, to see how it works. The numbers mean little."""

    model: str = "unet"
    """Network of input-change and batch-sizes; skips compares it with the CNN, and the strided UNet with the
    ConvTransposeNet; connections lists it."""
    image_size: tuple[int, ...] = (32, 64)
    """connections: image sizes in pixels per side, multiples of 8, one column each."""
    seeds: int = 3
    """Trainings of each kind, with seeds from 0; changed pixels are trained with seed 0 only."""
    epochs: int = 25
    """Number of passes over the training images."""
    batch_size: int = 100
    """Images per step, except for batch-sizes."""
    batch_sizes: tuple[int, ...] = (25, 50, 100, 200, 500, 1000)
    """batch-sizes: images per step."""
    updates: int = 500
    """batch-sizes: also compare all batch sizes after this number of steps. All trainings are at least that
    long."""
    resunet_epochs: int = DEFAULTS["resunet"]["epochs"]
    """networks, ablation: passes of the ResUNet over the training images."""
    variants: tuple[Variant, ...] = VARIANTS
    """ablation: the ResUNet's own settings, and changes of one of them."""
    changes: tuple[tuple[float, float], ...] = ((2.0, 0.0), (0.5, 0.25), (1.0, 1.0), (-1.0, 1.0))
    """input-change: pairs of a and b."""
    memory_networks: tuple[Literal["resnet50", "resnet101", "unet"], ...] = ("resnet50", "resnet101", "unet")
    """memory: the UNet, and the backbones of DeepLabV3."""
    memory_sizes: tuple[int, ...] = (112, 224, 448, 512)
    """memory: image sizes in pixels per side."""
    memory_batch_size: int = 4
    """memory: images per step."""

    dataset: Literal["auto", "cifar10", "sample"] = "auto"
    """CIFAR-10, or the built-in sample of photograph patches. auto: CIFAR-10 if it is available."""
    category: Category | Literal["all"] = "horse"
    """Category of CIFAR-10's images."""
    archive: Path | None = None
    """A local cifar-10-binary.tar.gz, instead of a download."""
    data_dir: Path | None = None
    """Folder of prepared data. Default: that of tensorflow-datasets, ~/tensorflow_datasets."""

    name: str | None = None
    """Name of the folder. Default: analysis."""
    runs_dir: Path = Path("runs")
    """Folder of all run folders."""
    resume: bool = False
    """Resume the analysis of this name, with its settings."""
    overwrite: bool = False
    """Replace the analysis of this name."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("seeds", "epochs", "batch_size", "updates", "resunet_epochs", "memory_batch_size"):
            require(getattr(self, field) >= 1, field, "at least 1", getattr(self, field))
        for field, least in (("image_size", 8), ("batch_sizes", 1), ("memory_sizes", 32)):
            sizes = getattr(self, field)
            given = " ".join(map(str, sizes)) or "nothing"
            require(bool(sizes) and min(sizes) >= least, field, f"one or more sizes from {least} on", given)
        for field, factor in (("image_size", 8), ("memory_sizes", 4)):
            wrong = [size for size in getattr(self, field) if size % factor]
            require(not wrong, field, f"sizes that divide by {factor}", wrong)
        for a, b in self.changes:
            finite = abs(a) < float("inf") and abs(b) < float("inf")
            require(finite and a != 0, "changes", "pairs of finite numbers, the first not 0", f"{a} {b}")
        for field in ("parts", "variants", "changes", "memory_networks"):
            require(bool(getattr(self, field)), field, "one or more", "none")
        if self.resume and self.overwrite:
            raise UserError("--resume and --overwrite exclude each other: choose one")
        if self.dataset == "sample" and self.category not in ("horse", "all"):
            raise UserError("the built-in sample has no categories: leave out --category")
        if self.archive and self.dataset == "sample":
            raise UserError("--archive is for CIFAR-10: with --dataset cifar10")
        self.check_name()

    @property
    def folder(self) -> Path:
        """The folder of the report."""
        return self.runs_dir / (self.name or "analysis")

    def to_resume(self) -> "AnalyzeConfig":
        """Return the settings as the defaults to resume with, those of --quick included."""
        return dataclasses.replace(super().to_resume(), quick=False)


QUICK = AnalyzeConfig(  # the defaults with --quick
    dataset="sample", seeds=2, epochs=1, resunet_epochs=1, variants=("own", "no-prior"),
    batch_sizes=(100, 400), updates=20,
    changes=((2.0, 0.0), (0.5, 0.25)), memory_networks=("resnet50", "unet"), memory_sizes=(64, 128),
    memory_batch_size=2,
)  # fmt: skip
