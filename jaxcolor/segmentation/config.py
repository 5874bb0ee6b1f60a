"""The settings of a segmentation run. This module imports nothing heavy, so `--help` is fast."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import tyro

from jaxcolor.errors import UserError
from jaxcolor.training.config import LogName, RunConfig, require

HeadName = Literal["deeplabv3", "deeplabv3plus", "deeplabv3plus-separable", "fpn", "fcn", "lraspp"]
LossName = Literal["cross-entropy", "focal", "dice", "soft-iou"]
WEIGHTED: set[LossName] = {"cross-entropy", "focal"}  # the losses in which classes have weights


@dataclass(frozen=True)
class SegmentConfig(RunConfig):
    """Train a network with a pretrained, frozen backbone to segment images.

    The folder runs/NAME holds settings, metrics, drawings and checkpoints.
    """

    TASK: ClassVar = "segment"
    GROUPS: ClassVar = {
        "network": "backbone", "training": "epochs", "cache": "cache", "data": "dataset", "run": "name",
        "prediction": "evaluate",
    }  # fmt: skip
    MEMORY: ClassVar = ("batch_size", "image_size")

    STRUCTURE: ClassVar = ("backbone", "head", "output_stride", "train", "aux")
    TRAINING: ClassVar = (
        "batch_size", "learning_rate", "backbone_rate", "optimizer", "weight_decay", "schedule", "warm_up",
        "clip", "ema", "seed", "precision", "loss", "class_weights", "flip", "crop", "scale", "jitter",
        "blur", "image_size", "train_split", "split", "init_from", "best",
    )  # fmt: skip

    backbone: str = "efficientnet-lite0"
    """Backbone network: efficientnet-lite0, efficientnet-lite1 or efficientnet-lite2 (installed with
    jaxcolor; trained on ImageNet, with a new head), resnet18 or resnet34 (downloaded; likewise), resnet50
    or resnet101 (downloaded; torchvision's weights for all of DeepLabV3 or FCN), or mobilenet-v3-large
    (downloaded; torchvision's weights for all of DeepLabV3 or LR-ASPP)."""
    head: HeadName = "deeplabv3"
    """The part after the backbone: that of DeepLabV3, which sees one place in 16×16 pixels; of DeepLabV3+,
    which adds details at a stride of 4; the same with separable convolutions, quicker; a light pyramid of
    features at strides of 4 to 32; that of FCN, one convolution; or that of LR-ASPP, quick, with details at a
    stride of 8."""
    train: Literal["last", "head", "all"] = "head"
    """The trainable part: the last layer, everything after the backbone, or everything."""
    weights: Path | None = None
    """A .pth or .safetensors file of pretrained weights: of a network of torchvision with the backbone, or of
    the backbone as an ImageNet classifier. Default: those published for the backbone and the head."""
    output_stride: int | None = None
    """Size of the image divided by that of the coarsest features: 8, 16 or 32. Default: 32 for --head fpn,
    otherwise 8 for resnet50 and resnet101, and 16 for the others."""
    aux: bool = False
    """With --train all: also train an auxiliary head on finer features of the backbone."""

    epochs: int = 20
    """Number of passes over the training images."""
    best: Literal["val_loss", "mean_iou", "pixel_accuracy"] = "val_loss"
    """The metric of the validation images by which an epoch is the best: the lowest val_loss, or the highest
    mean_iou or pixel_accuracy. --patience and the best checkpoint follow it."""
    patience: int | None = None
    """Stop after so many epochs without a better value of --best. Default: train all epochs."""
    batch_size: int = 8
    """Images per step."""
    learning_rate: float = 1e-3
    """Learning rate; with a schedule, its highest value."""
    backbone_rate: float = 1.0
    """With --train all: learning rate of the backbone, relative to that of the head, such as 0.1."""
    optimizer: Literal["adam", "adamw"] = "adam"
    """adamw: Adam with --weight-decay."""
    weight_decay: float = 0.0
    """adamw: every step multiplies the kernels by 1 − learning rate × this value."""
    schedule: Literal["poly", "constant", "cosine", "one-cycle"] = "poly"
    """The learning rate over the steps. poly: decreases to 0, as (1 − step / steps) to the power of 0.9.
    cosine: decreases to 0. one-cycle: rises in the first 30 % of the steps, and decreases to 0."""
    warm_up: int = 0
    """Number of steps at the start in which the learning rate rises from 0."""
    clip: float | None = None
    """Longest gradient, over all trainable parameters together. A longer one is shortened to it."""
    ema: float = 0.0
    """Decay of the moving average of the weights over the steps, which is then evaluated and used for
    prediction, such as 0.99. 0: no average."""
    loss: tuple[LossName, ...] = ("cross-entropy",)
    """One or several losses, which are added: cross-entropy; focal, which counts pixels less that are nearly
    right; dice and soft-iou, in which all classes count alike, however small."""
    class_weights: Literal["auto", "sqrt", "none"] = "auto"
    """sqrt: weight the pixels of a class in cross-entropy and focal loss by 1 / sqrt(its frequency among the
    training labels). auto: sqrt, but none for VOC and the sample, where it would favor objects too much."""
    flip: bool = True
    """Mirror training images at random."""
    augment: bool = False
    """Vary the training images at random: --crop 320 --scale 0.75 1.6 --jitter 0.3 --blur 1. The features of
    the frozen part then differ from epoch to epoch, and are not cached but computed in each."""
    crop: int | None = None
    """Train on random square crops with this side in pixels, of images scaled at random."""
    scale: tuple[float, float] = (0.5, 2.0)
    """With --crop: the smallest and the largest scale. At 1 the image has --image-size."""
    jitter: float = 0.0
    """With --crop: change brightness, contrast and saturation at random. The factors differ from 1 by at most
    this number."""
    blur: float = 0.0
    """With --crop: blur every other crop, with a standard deviation of at most so many pixels."""
    image_size: tuple[int, ...] = ()
    """One number: resize the shorter side of images to it; two: resize images to that height and width.
    Default: 520, as for torchvision's weights; 256 for the sample; with --crop the size of the image.
    Crops are cut from resized images, and validation images are seen at this size."""
    seed: int = 0
    """Seed of new weights, dropout, and the order and flips of the images."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Arithmetic of the layers; parameters, statistics and the loss stay float32. tf32 is for GPUs."""

    cache: bool = True
    """Cache the features of the frozen part on disk."""
    cache_dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """Number format of cached features. The 16-bit formats need half the space and are not exact."""
    cache_limit: float = 30.0
    """Largest size in GB of all cached features. If they need more, they are computed in every epoch."""

    dataset: Literal["auto", "voc", "sample"] = "auto"
    """Pascal VOC 2012, or the built-in sample of generated shapes. auto: VOC if it is available."""
    voc_dir: Path | None = None
    """A folder with the layout of VOC: JPEGImages, SegmentationClass, ImageSets/Segmentation."""
    archive: Path | None = None
    """A local VOCtrainval_11-May-2012.tar, or another archive with its layout, instead of a download."""
    classes: str | None = None
    """Classes of --voc-dir or --archive: a file with one name per line, their number, or voc. A line may also
    have the class's color in the masks: NAME RED GREEN BLUE. Default: VOC's names for VOC's images, and
    numbers for others."""
    split: float | None = None
    """Share of the images for validation, chosen at random, for data without lists train.txt and val.txt."""
    train_split: Literal["train", "trainval"] = "train"
    """The list of images to train on; val is for validation."""
    data_dir: Path | None = None
    """Folder of prepared data. Default: that of tensorflow-datasets, ~/tensorflow_datasets."""

    inspect: bool = False
    """Only report what --voc-dir or --archive holds, and all its problems, and draw a sheet of examples."""

    name: str | None = None
    """Name of the run folder. Default: segment-BACKBONE."""
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
    """Start from the weights of another run: its name or folder."""
    save_steps: int = 500
    """Also save every this many steps, so that a long epoch can be resumed in its middle."""
    plot_every: int = 5
    """Draw predictions every this many epochs, and after the last one."""
    log: LogName = "none"
    """A log besides metrics.jsonl, with the drawings, in the run folder: csv, tensorboard or wandb (Weights &
    Biases; with the environment variable WANDB_MODE=offline nothing is uploaded)."""

    evaluate: bool = False
    """Only print and write the validation scores of a checkpoint of the run of this name."""
    predict: tuple[Path, ...] = ()
    """Only segment these images with a checkpoint of the run of this name, and write them into its folder.
    A folder stands for the image files in it, and a pattern such as *.jpg for the files that fit."""
    tta: bool = False
    """For --evaluate and --predict: test-time augmentation. Average the predictions of three scales and their
    mirror images, in six times the time."""
    window: int | None = None
    """For --evaluate and --predict: side in pixels of overlapping windows, which the network sees one by one.
    This needs less memory for large images."""
    out: Path | None = None
    """Folder for the results of --predict. Default: predictions/ in the run folder."""
    checkpoint: Literal["best", "latest"] = "best"
    """Checkpoint for --evaluate, --predict and --init-from: the best by --best, or the latest."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("epochs", "batch_size", "plot_every"):
            require(getattr(self, field) >= 1, field, "at least 1", getattr(self, field))
        require(0 < self.learning_rate < float("inf"), "learning_rate", "above 0", self.learning_rate)
        require(0 < self.backbone_rate < float("inf"), "backbone_rate", "above 0", self.backbone_rate)
        require(self.clip is None or 0 < self.clip < float("inf"), "clip", "above 0", self.clip)
        require(
            bool(self.loss) and len(set(self.loss)) == len(self.loss),
            "loss",
            "one or several different losses",
            " ".join(self.loss),
        )
        require(0 <= self.weight_decay < float("inf"), "weight_decay", "at least 0", self.weight_decay)
        require(0 <= self.ema < 1, "ema", "from 0 to below 1", self.ema)
        require(self.warm_up >= 0, "warm_up", "at least 0", self.warm_up)
        require(0 <= self.jitter < 1, "jitter", "from 0 to below 1", self.jitter)
        require(0 <= self.blur <= 10, "blur", "from 0 to 10", self.blur)
        smallest, largest = self.scale
        good = 0 < smallest <= largest <= 10
        require(good, "scale", "two numbers from above 0 to 10, the smaller first", f"{smallest} {largest}")
        require(0 <= self.cache_limit < float("inf"), "cache_limit", "at least 0", self.cache_limit)
        require(0 <= self.seed < 2**32, "seed", "0 to 2³² − 1", self.seed)
        require(self.output_stride in (None, 8, 16, 32), "output_stride", "8, 16 or 32", self.output_stride)
        # An empty text is the path of the current folder.
        require(self.weights != Path(), "weights", "a file", "empty or a folder")
        require(self.crop is None or self.crop >= 32, "crop", "at least 32", self.crop)
        sizes = self.image_size
        given = " ".join(map(str, sizes))
        require(
            len(sizes) <= 2 and all(n >= 32 for n in sizes),
            "image_size",
            "one or two sizes from 32 on",
            given,
        )
        require(self.window is None or self.window >= 32, "window", "at least 32", self.window)
        self.check_run()
        for field in ("tta", "window"):
            if getattr(self, field) and not (self.evaluate or self.predict):
                raise UserError(f"--{field} is for --evaluate and --predict: leave it out")
        if self.weight_decay and self.optimizer == "adam":
            raise UserError("--weight-decay is for --optimizer adamw: add that, or leave it out")
        for field in ("scale", "jitter", "blur"):
            if getattr(self, field) != getattr(SegmentConfig, field) and not self.crop:
                raise UserError(f"--{field} is for --crop: add that, or leave it out")
        if self.class_weights == "sqrt" and not set(self.loss) & WEIGHTED:
            raise UserError("--class-weights is for the losses cross-entropy and focal: leave it out")
        if self.backbone_rate != 1 and self.train != "all":
            raise UserError("--backbone-rate is for --train all: leave it out")
        if self.aux and self.train != "all":
            raise UserError("--aux is for --train all: leave it out")
        if (self.voc_dir is not None) + (self.archive is not None) + (self.dataset == "sample") > 1:
            raise UserError("--voc-dir, --archive and --dataset sample exclude each other: choose one")
        if self.classes is not None and not (self.voc_dir or self.archive):
            raise UserError("--classes is for --voc-dir and --archive: leave it out")
        if self.split is not None:
            require(0 < self.split < 1, "split", "between 0 and 1", self.split)
            if self.dataset == "sample" or self.train_split != "train":
                raise UserError("--split is for data without lists: leave out --dataset and --train-split")
        if self.train_split != "train" and self.dataset == "sample":
            raise UserError("the generated sample has no trainval: leave out --train-split")

    @property
    def data_path(self) -> Path:
        """The user's folder or archive. Raises `UserError` if there is none."""
        path = self.voc_dir or self.archive
        if not path:
            raise UserError("--inspect needs the data: --voc-dir FOLDER or --archive FILE")
        return path

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.runs_dir / (self.name or f"segment-{self.backbone}")


# The settings of a run with a pyramid of features: docs/segmentation.md compares them with others.
PYRAMID: dict[str, Any] = {
    "head": "fpn", "optimizer": "adamw", "learning_rate": 3e-3, "weight_decay": 0.01, "schedule": "one-cycle",
    "ema": 0.99, "epochs": 10,
}  # fmt: skip
AUGMENTED: dict[str, Any] = {
    "crop": 320, "scale": (0.75, 1.6), "jitter": 0.3, "blur": 1.0
}  # fmt: skip


def defaults_of(
    backbone: str | None = None, head: str | None = None, optimizer: str | None = None, augment: bool = False
) -> SegmentConfig:
    """Return the settings that a run has besides these options, which are None if they are not given.

    EfficientNets have no published weights of a head, and so get the best one, the pyramid.
    """
    head = head or ("fpn" if (backbone or SegmentConfig.backbone).startswith("efficientnet") else None)
    settings = PYRAMID if head == "fpn" else {}
    if optimizer == "adam":  # it has no weight decay
        settings = settings | {"weight_decay": 0.0, "optimizer": optimizer}
    return SegmentConfig(**settings, **(AUGMENTED if augment else {}))


@dataclass(frozen=True)
class InspectConfig:
    """Report what a folder of images and masks holds, and all its problems.

    The report has counts, sizes and classes.

    The exit status is 1 if there are problems.
    """

    data: tyro.conf.Positional[Path]
    """Folder or tar archive with VOC's JPEGImages, SegmentationClass and ImageSets/Segmentation."""
    classes: Annotated[str | None, tyro.conf.arg(help_behavior_hint="")] = None
    """As for `jaxcolor segment`: a file with a name per line, the number of classes, or voc."""
    sheet: Annotated[Path | None, tyro.conf.arg(help_behavior_hint="")] = None
    """File of the sheet of examples. Default: inspect-NAME.png in the current folder."""
