"""The settings of a run that colors photographs. This module imports nothing heavy, so `--help` is fast."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from jaxcolor.data.classes import Category
from jaxcolor.errors import UserError
from jaxcolor.training.config import LogName, RunConfig, Settings, require

SIDE_STEP = 32  # the sides of images that the network sees divide by this
VIVIDNESS = 0.6  # colors are then about 0.7 times as strong as those of photographs
SHIPPED = Path("shipped")  # for --init-from


@dataclass(frozen=True)
class PhotoConfig(RunConfig):
    """Train a network that colors photographs, on images of your own.

    The folder runs/NAME holds settings, metrics, drawings and checkpoints.
    """

    TASK: ClassVar = "photo"
    GROUPS: ClassVar = {
        "network": "model", "training": "epochs", "data": "image_dir", "run": "name", "prediction": "evaluate"
    }  # fmt: skip
    MEMORY: ClassVar = ("batch_size", "crop")

    STRUCTURE: ClassVar = ("model", "width")
    TRAINING: ClassVar = (
        "train", "batch_size", "learning_rate", "backbone_rate", "weight_decay", "schedule", "warm_up", "ema",
        "crop", "rebalance", "seed", "precision", "init_from", "best",
    )  # fmt: skip

    model: Literal["photo"] = "photo"
    """photo: an EfficientNet-Lite0, trained on ImageNet, and a decoder that is trained here. The other
    networks have other options: see --model unet --help."""
    train: Literal["decoder", "upper", "all"] = "decoder"
    """The trainable part: the decoder; also the upper blocks of the backbone, with strides of 16 and 32; or
    everything. The more, the slower the steps."""
    width: int = 64
    """Channels of the decoder."""

    epochs: int = 10
    """Number of passes over the training images."""
    best: Literal["val_loss", "psnr"] = "val_loss"
    """The metric of the validation images by which an epoch is the best: the lowest val_loss, or the highest
    psnr. --patience and the best checkpoint follow it."""
    patience: int | None = None
    """Stop after so many epochs without a better value of --best. Default: train all epochs."""
    batch_size: int = 32
    """Images per step."""
    learning_rate: float = 3e-3
    """Learning rate of AdamW; with a schedule, its highest value."""
    backbone_rate: float = 0.1
    """Learning rate of the backbone's trainable blocks, relative to that of the decoder."""
    weight_decay: float = 0.01
    """Every step multiplies the kernels by 1 − learning rate × this value."""
    schedule: Literal["constant", "cosine", "one-cycle"] = "one-cycle"
    """The learning rate over the steps. cosine: decreases to 0. one-cycle: rises in the first 30 % of the
    steps, and decreases to 0."""
    warm_up: int = 0
    """Number of steps at the start in which the learning rate rises from 0."""
    ema: float = 0.999
    """Decay of the moving average of the weights over the steps, which is then evaluated and used for
    prediction. 0: no average."""
    crop: tuple[int, ...] = (96, 128, 160)
    """Sides of the square crops of training images, in pixels: multiples of 32. Each batch has one of them,
    at random, so that the network gets used to photographs of several sizes."""
    rebalance: float = 0.5
    """Weight of a color in the loss: its frequency to the power of minus this number. 0: all pixels count
    alike, and rare colors are seldom predicted."""
    seed: int = 0
    """Seed of the initial weights, the order of the images and the crops."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Arithmetic of the layers; parameters, statistics and the loss stay float32. tf32 is for GPUs."""

    image_dir: Path | None = None
    """A folder or a zip archive of color images, nested and of any sizes. Those below a folder named val are
    for validation; without one, 5 % of all images, at most 1,000."""
    category: Category | Literal["all"] | None = None
    """Instead of --image-dir: images of CIFAR-10, of this category or all."""
    archive: Path | None = None
    """A local cifar-10-binary.tar.gz, instead of a download."""
    data_dir: Path | None = None
    """Folder of prepared data. Default: that of tensorflow-datasets, ~/tensorflow_datasets."""

    name: str | None = None
    """Name of the run folder. Default: photo."""
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
    """Start from the weights, and with the colors, of another run, its name or folder; or of the network that
    comes with jaxcolor, whose name is shipped."""
    save_steps: int = 500
    """Also save every this many steps, so that a long epoch can be resumed in its middle."""
    plot_every: int = 1
    """Draw sample images every this many epochs, and after the last one."""
    log: LogName = "none"
    """A log besides metrics.jsonl, with the drawings, in the run folder: csv, tensorboard or wandb (Weights &
    Biases; with the environment variable WANDB_MODE=offline nothing is uploaded)."""

    evaluate: bool = False
    """Only print and write the validation scores of a checkpoint of the run of this name."""
    predict: tuple[Path, ...] = ()
    """Only color these images. A folder stands for the image files in it, and a pattern such as *.jpg for the
    files that fit."""
    out: Path | None = None
    """Folder for the results of --predict, or a file for one. Default: predictions/ in the run folder."""
    checkpoint: Literal["best", "latest"] = "best"
    """Checkpoint for --evaluate, --predict and --init-from: the best by --best, or the latest."""
    vividness: float = VIVIDNESS
    """From 0, safe and pale colors, to 1, the most likely colors."""
    average: bool = False
    """Average the predictions of several scales and of the mirror image."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("width", "epochs", "batch_size", "plot_every"):
            require(getattr(self, field) >= 1, field, "at least 1", getattr(self, field))
        require(0 < self.learning_rate < float("inf"), "learning_rate", "above 0", self.learning_rate)
        require(0 < self.backbone_rate < float("inf"), "backbone_rate", "above 0", self.backbone_rate)
        require(0 <= self.weight_decay < float("inf"), "weight_decay", "at least 0", self.weight_decay)
        require(0 <= self.ema < 1, "ema", "from 0 to below 1", self.ema)
        require(self.warm_up >= 0, "warm_up", "at least 0", self.warm_up)
        good = self.crop and all(side > 0 and side % SIDE_STEP == 0 for side in self.crop)
        require(bool(good), "crop", "multiples of 32", " ".join(map(str, self.crop)))
        require(0 <= self.rebalance <= 1, "rebalance", "from 0 to 1", self.rebalance)
        check_vividness(self.vividness)
        if self.name == str(SHIPPED):
            raise UserError("--name shipped is the network that comes with jaxcolor: choose another name")
        if self.average and not (self.predict or self.evaluate):
            raise UserError("--average is for --predict and --evaluate: leave it out")
        if self.image_dir and self.category:
            raise UserError("--image-dir and --category exclude each other: choose one")
        if self.archive and not self.category:
            raise UserError("--archive is for CIFAR-10: add --category all")
        require(0 <= self.seed < 2**32, "seed", "0 to 2³² − 1", self.seed)
        self.check_run()

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.runs_dir / (self.name or self.model)

    @property
    def starts_from_shipped(self) -> bool:
        """Whether the run starts from the network that comes with jaxcolor."""
        return self.init_from == SHIPPED

    @property
    def run_to_start_from(self) -> Path | None:
        """The run whose weights this one starts from."""
        return None if self.starts_from_shipped else self.init_from

    def with_absolute_paths(self) -> "PhotoConfig":
        """Return the settings with absolute paths."""
        absolute = super().with_absolute_paths()
        return replace(absolute, init_from=SHIPPED) if self.starts_from_shipped else absolute

    def to_json(self) -> dict[str, Any]:
        """Return the settings as values that JSON can hold."""
        changes = {"init_from": str(SHIPPED)} if self.starts_from_shipped else {}
        return super().to_json() | changes


@dataclass(frozen=True)
class ShippedConfig(Settings):
    """Color photographs with the network that comes with jaxcolor.

    The colored files have the names, formats and metadata of the originals.

    For the options of training see --model photo --help.
    """

    GROUPS: ClassVar = {"prediction": "predict"}

    predict: tuple[Path, ...] = ()
    """Images to color. A folder stands for the image files in it, and a pattern such as *.jpg for the files
    that fit."""
    out: Path | None = None
    """Folder for the colored images, or a file for one. Default: colored/."""
    vividness: float = VIVIDNESS
    """From 0, safe and pale colors, to 1, the most likely colors."""
    average: bool = False
    """Average the predictions of several scales and of the mirror image."""
    evaluate: bool = False
    """Only print the scores on the photographs of --image-dir."""
    image_dir: Path | None = None
    """A folder or a zip archive of color images for --evaluate. Those below a folder named val are used, or
    all if there is none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_vividness(self.vividness)
        if self.evaluate and self.predict:
            raise UserError("--predict excludes --evaluate: leave one out")
        if self.out and self.evaluate:
            raise UserError("--out is for --predict: leave it out")
        if self.image_dir and not self.evaluate:
            raise UserError("--image-dir is for --evaluate: leave it out")
        if self.evaluate and not self.image_dir:
            raise UserError("give a folder or a zip archive of color images with --image-dir")

    @property
    def memory_advice(self) -> str:
        """What to do if there is too little memory."""
        return "give smaller images"


def check_vividness(value: float) -> None:
    """Raise `UserError` unless a vividness is from 0 to 1."""
    require(0 <= value <= 1, "vividness", "from 0 to 1", value)
