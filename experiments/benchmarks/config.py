"""The settings of a benchmark. Imports nothing heavy, so that `--help` is quick."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jaxcolor.data.classes import Category
from jaxcolor.errors import UserError

SWEEP = (25, 50, 100, 200, 500, 1000)  # images a batch
SIZES = (32, 64, 128, 256)  # pixels a side


@dataclass(frozen=True)
class ColorizeBenchmark:
    """Compare jaxcolor with the plain PyTorch program: numbers, speed and memory.

    Both run in turns in one process, on the same images, device and precision. Without other options
    prints the parity certificate and the table of speed.
    """

    model: tuple[Literal["cnn", "unet"], ...] = ("unet", "cnn")
    """The networks to time."""
    batch_size: tuple[int, ...] = (100,)
    """Images a step; several give a table each."""
    filters: int = 32
    """Filters of the first layer."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """The arithmetic of both. tf32 is for GPUs; bfloat16 is autocast in PyTorch."""
    variants: tuple[str, ...] = ()
    """Only these of PyTorch's variants. Default: all that the device has, eager, channels_last, compile…"""
    rounds: int = 7
    """How often each program has its turn, after warming up; at least 5."""
    certificate: Literal["yes", "no", "only"] = "yes"
    """Compare the numbers of both programs first, or do nothing else."""
    sweep: bool = False
    """Time batches of 25 to 1000 images, whatever --batch-size says, and draw the result beside --json (or
    as benchmark-sweep.png)."""
    sizes: bool = False
    """Time and memory of a step for images of 32 to 256 pixels a side, 25 at most."""
    memory: bool = True
    """Measure the peak memory of each program, each in a process of its own."""
    whole_run: int = 0
    """How often jaxcolor and PyTorch's variants run from the command line, in turns, for --epochs."""
    epochs: int = 25
    """Epochs of --whole-run."""
    profile: bool = False
    """Where the time of jaxcolor's train step goes."""
    dataset: Literal["cifar10", "sample"] = "sample"
    """CIFAR-10, or the built-in patches of photographs, which need no network."""
    category: Category | Literal["all"] = "horse"
    """Which of CIFAR-10's images."""
    archive: Path | None = None
    """A local cifar-10-binary.tar.gz; implies --dataset cifar10."""
    data_dir: Path | None = None
    """Where prepared data lies."""
    json: Path | None = None
    """Write all results into this file, too."""

    def __post_init__(self) -> None:
        if self.rounds < 5:
            raise UserError(f"--rounds must be at least 5, not {self.rounds}")
        for field in ("model", "batch_size"):
            if not getattr(self, field):
                raise UserError(f"--{field.replace('_', '-')} needs at least one value")
        for name, value in (*(("batch-size", size) for size in self.batch_size), ("filters", self.filters)):
            if value < 1:
                raise UserError(f"--{name} must be at least 1, not {value}")
        if self.epochs < 1 or self.whole_run < 0:
            raise UserError("--epochs must be at least 1, and --whole-run at least 0")
        if self.whole_run and self.precision != "float32":
            raise UserError("--whole-run is in float32: leave out --precision")

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """Those to time."""
        return SWEEP if self.sweep else self.batch_size


@dataclass(frozen=True)
class SegmentBenchmark:
    """Compare segmentation, its last layer trained alone, with a plain torchvision loop doing the same.

    On the generated sample and random weights: whole runs from the command line, and the frozen forward pass.
    """

    backbone: Literal["resnet50", "resnet101"] = "resnet101"
    """What sees the images."""
    image_size: int = 224
    """Height and width of the images, in pixels."""
    batch_size: int = 16
    """Images a step."""
    epochs: int = 10
    """Epochs of the whole runs."""
    runs: int = 1
    """How often both programs run from the command line, in turns; 0: only the forward pass is timed."""
    rounds: int = 5
    """How often each forward pass has its turn; at least 5."""
    json: Path | None = None
    """Write all results into this file, too."""

    def __post_init__(self) -> None:
        if self.rounds < 5:
            raise UserError(f"--rounds must be at least 5, not {self.rounds}")
        for name, value, least in (
            ("image-size", self.image_size, 32), ("batch-size", self.batch_size, 1),
            ("epochs", self.epochs, 1), ("runs", self.runs, 0),
        ):  # fmt: skip
            if value < least:
                raise UserError(f"--{name} must be at least {least}, not {value}")
