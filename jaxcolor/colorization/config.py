"""The settings of a colorization run. Imports nothing heavy, so that `--help` is quick."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from jaxcolor.data.classes import Category
from jaxcolor.errors import UserError
from jaxcolor.training.batches import Shuffle
from jaxcolor.training.config import RunConfig, require

MAX_COLORS = 256  # labels are uint8
DILATION = 2


@dataclass(frozen=True)
class ColorizeConfig(RunConfig):
    """Train a network that colors gray images, by classifying each pixel into a palette's colors.

    Leaves runs/NAME with settings, metrics, curves, images, palette and checkpoints.
    """

    STRUCTURE: ClassVar = ("model", "kernel_size", "filters", "colors", "dilation", "downsize_input")
    TRAINING: ClassVar = (
        "batch_size", "learning_rate", "seed", "shuffle", "precision", "category", "palette", "init_from",
    )  # fmt: skip

    model: Literal["cnn", "unet", "dunet"] = "unet"
    """The network: a plain CNN, a UNet, or a UNet with a dilated convolution in its lowest layer."""
    kernel_size: Literal[1, 3, 5, 7] = 3
    """Width and height of the convolutions' kernels, in pixels."""
    filters: int = 32
    """Filters of the first layer; the layers below it have twice as many."""
    colors: int = 24
    """Colors of the palette, 2 to 256. With --palette or --init-from, those say how many."""
    dilation: int = DILATION
    """Distance of the taps in the lowest layer of --model dunet; 1 is the plain UNet."""
    downsize_input: bool = False
    """Super-resolution: the input is the color image at a quarter of its resolution."""

    epochs: int = 25
    """How many times the training images are seen."""
    batch_size: int = 100
    """Images per step."""
    learning_rate: float = 1e-3
    """Adam's learning rate."""
    seed: int = 0
    """Seed of the initial weights, the order of the images and the palette."""
    shuffle: Shuffle = "once"
    """Shuffle the training images once, as the reference does, or anew for each epoch."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """The layers' arithmetic; parameters, statistics and the loss stay float32. tf32 is for GPUs."""

    dataset: Literal["auto", "cifar10", "sample"] = "auto"
    """CIFAR-10, or patches of built-in photographs. auto: CIFAR-10 where it can be had, or else those."""
    category: Category | Literal["all"] = "horse"
    """Which of CIFAR-10's images."""
    archive: Path | None = None
    """A local cifar-10-binary.tar.gz, instead of a download."""
    data_dir: Path | None = None
    """Where prepared data lies. Default: that of tensorflow-datasets, ~/tensorflow_datasets."""
    palette: Path | None = None
    """A palette of your own: a .npy file of shape [n, 3] with values in 0–1. Default: k-means."""

    name: str | None = None
    """Name of the run's folder. Default: the model's name."""
    runs_dir: Path = Path("runs")
    """Where run folders lie."""
    resume: bool = False
    """Go on with the run of this name, with its settings, after its latest checkpoint."""
    overwrite: bool = False
    """Replace the run of this name."""
    evaluate: bool = False
    """Only compute the validation scores of a checkpoint of the run of this name; draws its activations."""
    init_from: Path | None = None
    """Start from the weights, and with the palette, of another run: its name or folder."""
    checkpoint: Literal["latest", "best"] = "latest"
    """Which checkpoint --evaluate and --init-from read."""
    plot_every: int = 1
    """Draw sample images every this many epochs, and after the last one."""
    activations: int = 0
    """Index of the validation image whose activations are drawn at the end."""

    def __post_init__(self) -> None:
        for field in ("filters", "dilation", "epochs", "batch_size", "plot_every"):
            require(getattr(self, field) >= 1, field, "at least 1", getattr(self, field))
        require(2 <= self.colors <= MAX_COLORS, "colors", "2 to 256", self.colors)
        require(0 < self.learning_rate < float("inf"), "learning_rate", "above 0", self.learning_rate)
        for field in ("seed", "activations"):
            require(0 <= getattr(self, field) < 2**32, field, "0 to 2³² − 1", getattr(self, field))
        self.check_run()
        if self.checkpoint != "latest" and not (self.evaluate or self.init_from):
            raise UserError("--checkpoint is for --evaluate and --init-from: leave it out")
        if self.dataset == "sample" and self.category not in ("horse", "all"):
            raise UserError("the built-in sample has no categories: leave out --category")
        if self.dataset == "sample" and self.archive:
            raise UserError("--archive is for CIFAR-10: leave out --dataset sample")

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.runs_dir / (self.name or self.model)
