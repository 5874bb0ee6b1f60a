"""The settings of the benchmarks. This module imports nothing heavy, so `--help` is fast."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from jaxcolor.data.classes import Category
from jaxcolor.errors import UserError
from jaxcolor.training.config import Settings

SWEEP_BATCH_SIZES = (25, 50, 100, 200, 500, 1000)
IMAGE_SIDES = (32, 64, 128, 256)  # of --sizes, in pixels


@dataclass(frozen=True)
class ColorizeBenchmark(Settings):
    """Compare jaxcolor with the plain PyTorch program: numbers, speed and memory.

    Both programs take turns in one process, on the same images and device.

    By default it prints a parity certificate, and a table of speed per network.
    """

    GROUPS: ClassVar = {"network": "model", "measurement": "variants", "data": "dataset", "result": "json"}
    MEMORY: ClassVar = ("batch_size", "filters")

    model: tuple[Literal["cnn", "unet", "strided-unet", "conv-transpose"], ...] = ("unet", "cnn")
    """Networks to time."""
    batch_size: tuple[int, ...] = (100,)
    """Images per step. Each batch size has a table of its own."""
    filters: int = 32
    """Filters of the first layer."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Arithmetic of both programs. tf32 is for GPUs; bfloat16 is autocast in PyTorch."""
    variants: tuple[str, ...] = ()
    """Variants of the PyTorch program, such as eager and compile. Default: all for this device."""
    rounds: int = 7
    """Number of timed rounds, after one to warm up; at least 5. Each program runs once per round."""
    certificate: Literal["yes", "no", "only"] = "yes"
    """Whether to compare the numbers of both programs. only: do not time them."""
    sweep: bool = False
    """Time batches of 25 to 1000 images instead of --batch-size, and plot the results to a .png file."""
    sizes: bool = False
    """Measure train steps on images with sides of 32 to 256 pixels, at most 25 images per step."""
    memory: bool = True
    """Measure the peak memory of each program in a process of its own."""
    whole_run: int = 0
    """Number of runs of jaxcolor and of each variant from the command line, in turns. 0: none."""
    epochs: int = 25
    """Epochs of the runs of --whole-run."""
    profile: bool = False
    """Measure the time that each part of jaxcolor's train step takes."""
    dataset: Literal["cifar10", "sample"] = "sample"
    """CIFAR-10, or the built-in sample of photograph patches."""
    category: Category | Literal["all"] = "horse"
    """Category of CIFAR-10's images."""
    archive: Path | None = None
    """A local cifar-10-binary.tar.gz, instead of a download. Implies --dataset cifar10."""
    data_dir: Path | None = None
    """Folder of prepared data. Default: that of tensorflow-datasets, ~/tensorflow_datasets."""
    json: Path | None = None
    """A JSON file to write all results to."""

    def __post_init__(self) -> None:
        super().__post_init__()
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
        """The batch sizes to time."""
        return SWEEP_BATCH_SIZES if self.sweep else self.batch_size


@dataclass(frozen=True)
class SegmentBenchmark(Settings):
    """Compare DeepLabV3 with the plain torchvision program, with equal weights.

    It times the frozen forward pass, steps that train everything,

    the prediction of large photographs, and whole runs from the command line.
    """

    GROUPS: ClassVar = {"network": "backbone", "measurement": "parts", "result": "json"}
    MEMORY: ClassVar = ("batch_size", "image_size")

    backbone: Literal["resnet50", "resnet101", "mobilenet-v3-large"] = "resnet101"
    """Backbone network."""
    parts: tuple[Literal["forward", "training", "prediction", "runs"], ...] = ("forward", "runs")
    """What to compare."""
    image_size: int = 224
    """Height and width of the images, in pixels."""
    batch_size: int = 16
    """Images per step."""
    epochs: int = 10
    """Epochs of the whole runs."""
    runs: int = 1
    """Number of runs of both programs from the command line, in turns."""
    photographs: int = 5
    """Number of photographs of 1920×1080 pixels per round of --parts prediction."""
    rounds: int = 5
    """Number of timed rounds of the other parts, after one to warm up; at least 5."""
    json: Path | None = None
    """A JSON file to write all results to."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rounds < 5:
            raise UserError(f"--rounds must be at least 5, not {self.rounds}")
        for name, value, least in (
            ("image-size", self.image_size, 32), ("batch-size", self.batch_size, 1),
            ("epochs", self.epochs, 1), ("runs", self.runs, 1), ("photographs", self.photographs, 1),
        ):  # fmt: skip
            if value < least:
                raise UserError(f"--{name} must be at least {least}, not {value}")


@dataclass(frozen=True)
class ScalingBenchmark(Settings):
    """Train on several CPU devices at equal total work, without PyTorch.

    It counts what the devices send to each other.
    """

    GROUPS: ClassVar = {"network": "model", "measurement": "devices", "result": "json"}
    MEMORY: ClassVar = ("batch_size",)

    model: Literal["cnn", "unet", "strided-unet", "conv-transpose"] = "unet"
    """Network to train."""
    batch_size: int = 96
    """Images per step, on all devices together."""
    devices: tuple[int, ...] = (1, 2, 4, 8)
    """Numbers of devices."""
    steps: int = 10
    """Steps per round."""
    rounds: int = 7
    """Number of timed rounds, after one to warm up; at least 5. The numbers of devices take turns."""
    json: Path | None = None
    """A JSON file to write all results to."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rounds < 5:
            raise UserError(f"--rounds must be at least 5, not {self.rounds}")
        if not self.devices or min(self.devices) < 1:
            raise UserError("--devices needs numbers from 1 on")
        if self.steps < 1:
            raise UserError(f"--steps must be at least 1, not {self.steps}")
        if any(self.batch_size < 1 or self.batch_size % number for number in self.devices):
            raise UserError(f"--batch-size {self.batch_size} must divide by all of --devices")


@dataclass(frozen=True)
class DeviceBenchmark(Settings):
    """Run everything that is worth knowing about a device, such as a GPU.

    It checks the numbers, times both tasks in every precision of the device,

    runs the tests that concern devices, and trains twice from the command line.

    The output of each part is a file. A part that finds no time is left out.
    """

    GROUPS: ClassVar = {"measurement": "minutes", "result": "out"}

    minutes: float = 10.0
    """Time for all parts together."""
    quick: bool = False
    """Measure little of each part, to see whether it works."""
    out: Path = Path("device")
    """Folder for the output."""
