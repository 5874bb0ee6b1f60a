"""The settings of a colorization run. This module imports nothing heavy, so `--help` is fast."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from jaxcolor.data.classes import Category
from jaxcolor.errors import UserError
from jaxcolor.training.config import LogName, RunConfig, require

MAX_COLORS = 256  # labels are uint8


@dataclass(frozen=True)
class ColorizeConfig(RunConfig):
    """Train a network that colors gray images with the colors of a palette.

    The folder runs/NAME holds settings, metrics, drawings and checkpoints.
    """

    TASK: ClassVar = "colorize"
    GROUPS: ClassVar = {
        "network": "model", "training": "epochs", "data": "dataset", "run": "name", "prediction": "evaluate"
    }  # fmt: skip
    MEMORY: ClassVar = ("batch_size", "filters")

    STRUCTURE: ClassVar = (
        "model", "kernel_size", "filters", "colors", "dilation", "downsize_input", "prior"
    )  # fmt: skip
    TRAINING: ClassVar = (
        "batch_size", "learning_rate", "optimizer", "weight_decay", "schedule", "warm_up", "label_smoothing",
        "ema", "flip", "shift", "seed", "shuffle", "precision", "dataset", "category", "palette", "init_from",
        "best",
    )  # fmt: skip

    model: str = "unet"
    """Network: cnn, unet (the CNN with skip connections), dunet (the UNet with a dilated convolution in its
    lowest layer), conv-transpose and strided-unet (the same two with strided and transposed convolutions),
    resunet (the best one, with its own defaults for training), photo (for photographs; its options: --model
    photo --help), or a network of your own (docs/own-model.md)."""
    kernel_size: int = 3
    """Height and width of the convolution kernels, an odd number of pixels."""
    filters: int = 32
    """Filters of the first layer; deeper layers have twice as many."""
    colors: int = 24
    """Colors of the palette, 2 to 256. --palette and --init-from bring their own number."""
    dilation: int | None = None
    """Distance between the taps of the dilated convolution. Default: 2 for dunet, 1 for unet."""
    prior: Literal["none", "gray"] = "none"
    """gray: add log p(color | gray level), counted on the training pixels, to the logits."""
    downsize_input: bool = False
    """Super-resolution: the input is the color image at a quarter of its resolution."""

    epochs: int | None = None
    """Number of passes over the training images. Default: 25 for CIFAR-10, 8 for the small
    sample."""
    best: Literal["val_loss", "val_accuracy"] = "val_loss"
    """The metric of the validation images by which an epoch is the best: the lowest val_loss, or the highest
    val_accuracy. --patience and the best checkpoint follow it."""
    patience: int | None = None
    """Stop after so many epochs without a better value of --best. Default: train all epochs."""
    batch_size: int = 100
    """Images per step."""
    learning_rate: float = 1e-3
    """Learning rate; with a schedule, its highest value."""
    optimizer: Literal["adam", "adamw"] = "adam"
    """adamw: Adam with --weight-decay."""
    weight_decay: float = 0.0
    """adamw: every step multiplies the kernels by 1 − learning rate × this value."""
    schedule: Literal["constant", "cosine", "one-cycle"] = "constant"
    """The learning rate over the steps. cosine: decreases to 0. one-cycle: rises in the first 30 % of the
    steps, and decreases to 0."""
    warm_up: int = 0
    """Number of steps at the start in which the learning rate rises from 0."""
    label_smoothing: float = 0.0
    """Share of each pixel's target that is spread over all colors."""
    ema: float = 0.0
    """Decay of the moving average of the weights over the steps, which is then evaluated and used for
    prediction, such as 0.999. 0: no average."""
    flip: bool = False
    """Mirror training images at random."""
    shift: int = 0
    """Shift training images at random, by up to so many pixels."""
    seed: int = 0
    """Seed of the initial weights, the order of the images and the palette."""
    shuffle: Literal["once", "epoch"] = "once"
    """Shuffle the training images once, as the reference does, or in every epoch."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Arithmetic of the layers; parameters, statistics and the loss stay float32. tf32 is for GPUs."""

    dataset: Literal["auto", "cifar10", "sample"] = "auto"
    """CIFAR-10, or the built-in sample of photograph patches. auto: CIFAR-10 if it is available."""
    category: Category | Literal["all"] = "horse"
    """Category of CIFAR-10's images."""
    archive: Path | None = None
    """A local cifar-10-binary.tar.gz, instead of a download."""
    data_dir: Path | None = None
    """Folder of prepared data. Default: that of tensorflow-datasets, ~/tensorflow_datasets."""
    palette: Path | None = None
    """A palette of your own: a .npy file of shape [n, 3] with values in 0–1. Default: k-means."""

    name: str | None = None
    """Name of the run folder. Default: the name of the network."""
    runs_dir: Path = Path("runs")
    """Folder of all run folders."""
    resume: bool = False
    """Resume the run of this name after its latest checkpoint, with its settings."""
    overwrite: bool = False
    """Replace the run of this name."""
    devices: int | None = None
    """Number of devices, such as GPUs, that share each batch. Default: all of this machine."""
    coordinator: str | None = None
    """Train with several processes, on one machine or many: HOST:PORT of the first one. Slurm, Open MPI and
    TPU pods need none of these options."""
    processes: int | None = None
    """With --coordinator: the number of processes."""
    process: int | None = None
    """With --coordinator: the number of this process, from 0."""
    init_from: Path | None = None
    """Start from the weights, and with the palette, of another run: its name or folder."""
    save_steps: int = 500
    """Also save every this many steps, so that a long epoch can be resumed in its middle."""
    plot_every: int = 1
    """Draw sample images every this many epochs, and after the last one."""
    log: LogName = "none"
    """A log besides metrics.jsonl, with the drawings, in the run folder: csv, tensorboard or wandb (Weights &
    Biases; with the environment variable WANDB_MODE=offline nothing is uploaded)."""

    evaluate: bool = False
    """Only print and write the validation scores of a checkpoint of the run of this name, and draw its
    activations."""
    predict: tuple[Path, ...] = ()
    """Only color these images: with the network for photographs that comes with jaxcolor (its options:
    --predict --help), or with a checkpoint of the run that --name or --model names. A folder stands for the
    image files in it, and a pattern such as *.jpg for the files that fit."""
    out: Path | None = None
    """Folder for the results of --predict, or a file for one. Default: predictions/ in the run folder."""
    keep_lightness: bool = True
    """Keep the lightness of the images that --predict colors, and take only hue and chroma from the palette.
    Super-resolution never does."""
    checkpoint: Literal["best", "latest"] = "best"
    """Checkpoint for --evaluate, --predict and --init-from: the best by --best, or the latest."""
    activations: int = 0
    """Index of the validation image whose activations are drawn at the end."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("filters", "batch_size", "plot_every"):
            require(getattr(self, field) >= 1, field, "at least 1", getattr(self, field))
        require(self.epochs is None or self.epochs >= 1, "epochs", "at least 1", self.epochs)
        require(self.kernel_size % 2 == 1 and self.kernel_size > 0, "kernel_size", "odd", self.kernel_size)
        require(self.dilation is None or self.dilation >= 1, "dilation", "at least 1", self.dilation)
        require(2 <= self.colors <= MAX_COLORS, "colors", "2 to 256", self.colors)
        require(0 < self.learning_rate < float("inf"), "learning_rate", "above 0", self.learning_rate)
        require(0 <= self.weight_decay < float("inf"), "weight_decay", "at least 0", self.weight_decay)
        for field in ("label_smoothing", "ema"):
            require(0 <= getattr(self, field) < 1, field, "from 0 to below 1", getattr(self, field))
        for field in ("warm_up", "shift"):
            require(getattr(self, field) >= 0, field, "at least 0", getattr(self, field))
        if self.weight_decay and self.optimizer == "adam":
            raise UserError("--weight-decay is for --optimizer adamw: add that, or leave it out")
        if self.prior == "gray" and self.downsize_input:
            raise UserError("--prior gray is for gray input: leave out --downsize-input")
        for field in ("seed", "activations"):
            require(0 <= getattr(self, field) < 2**32, field, "0 to 2³² − 1", getattr(self, field))
        self.check_run()
        if self.dataset == "sample" and self.category not in ("horse", "all"):
            raise UserError("the built-in sample has no categories: leave out --category")
        if self.dataset == "sample":
            object.__setattr__(self, "category", "all")
        if self.dataset == "sample" and self.archive:
            raise UserError("--archive is for CIFAR-10: leave out --dataset sample")

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.runs_dir / (self.name or self.model)

    def network_settings(self) -> dict[str, Any]:
        """Return the fields of the network that are settings."""
        names = ("filters", "colors", "kernel_size", "dilation")
        return {name: getattr(self, name) for name in names}


# The settings of networks that have defaults of their own.
DEFAULTS: dict[str, dict[str, Any]] = {
    "resunet": {
        "filters": 16, "prior": "gray", "epochs": 10, "learning_rate": 5e-3, "optimizer": "adamw",
        "weight_decay": 0.2, "schedule": "one-cycle", "ema": 0.998, "flip": True, "shift": 2,
        "shuffle": "epoch",
    },
}  # fmt: skip


def defaults_of(model: str, optimizer: str | None = None) -> ColorizeConfig:
    """Return the settings of a run of this network, if no others are given. `optimizer` may be."""
    settings = DEFAULTS.get(model, {})
    if optimizer == "adam":  # it has no weight decay
        settings = settings | {"optimizer": optimizer, "weight_decay": 0.0}
    return ColorizeConfig(model=model, **settings)
