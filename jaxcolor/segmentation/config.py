"""The settings of a segmentation run. Imports nothing heavy, so that `--help` is quick."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from jaxcolor.errors import UserError
from jaxcolor.training.config import RunConfig, require


@dataclass(frozen=True)
class SegmentConfig(RunConfig):
    """Train a DeepLabV3 with a pretrained, frozen backbone to segment images.

    Leaves runs/NAME with settings, metrics, curves, confusion matrix, predictions and checkpoints.
    """

    STRUCTURE: ClassVar = ("backbone", "output_stride", "train", "aux")
    TRAINING: ClassVar = (
        "batch_size", "learning_rate", "schedule", "seed", "precision", "flip", "crop", "image_size",
        "class_weights", "train_split", "init_from",
    )  # fmt: skip

    backbone: Literal["resnet50", "resnet101", "efficientnet-lite0"] = "efficientnet-lite0"
    """What sees the images. The first two have torchvision's weights for all of DeepLabV3, which are
    downloaded; the last one has ImageNet's for itself, which are here, and a head that starts anew."""
    train: Literal["last", "head", "all"] = "head"
    """What is trained: the last layer, all behind the backbone, or everything."""
    weights: Path | None = None
    """A .pth file of pretrained weights. Default: those published for the backbone."""
    output_stride: Literal[8, 16] | None = None
    """How many times smaller than images features are. Default: 8 for ResNets, 16 for EfficientNet."""
    aux: bool = False
    """With --train all, an auxiliary head behind the last stage of the backbone but one is trained, too."""

    epochs: int = 20
    """How many times the training images are seen."""
    batch_size: int = 8
    """Images per step."""
    learning_rate: float = 1e-3
    """Adam's learning rate, at the start."""
    schedule: Literal["poly", "constant"] = "poly"
    """poly: the learning rate falls to 0 at the last step, as (1 − step / steps) to the power of 0.9."""
    class_weights: Literal["auto", "sqrt", "none"] = "auto"
    """sqrt: pixels of rare classes weigh more in the loss, by 1 / √frequency among the training labels.
    auto: sqrt with --classes; none for VOC and the sample, whose objects it would blow up."""
    flip: bool = True
    """Show every other training image in its mirror, at random."""
    crop: int | None = None
    """Train on squares of so many pixels a side, cut at random from images scaled by 0.5 to 2."""
    image_size: tuple[int, ...] = ()
    """One number: images are resized to that length of the shorter side; two: to that height and width.
    Default: 520, as torchvision's weights have it; 256 for the sample; with --crop their own size."""
    seed: int = 0
    """Seed of new weights, dropout, and the order and flips of the images."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """The layers' arithmetic; parameters, statistics and the loss stay float32. tf32 is for GPUs."""

    cache: bool = True
    """Keep the features of what is frozen on disk, instead of computing them in every epoch."""
    cache_dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """Number format of cached features; the 16-bit ones take half the disk, and are not exact."""
    cache_limit: float = 30.0
    """How many GB all cached features may take. Where they would take more, they are computed anew."""

    dataset: Literal["auto", "voc", "sample"] = "auto"
    """Pascal VOC 2012, or generated images of shapes. auto: VOC where it can be had, or else those."""
    voc_dir: Path | None = None
    """A folder in VOC's layout instead: JPEGImages, SegmentationClass, ImageSets/Segmentation."""
    archive: Path | None = None
    """A local VOCtrainval_11-May-2012.tar, or another archive of that layout, instead of a download."""
    classes: str | None = None
    """The classes of --voc-dir or --archive: a file with a name a line, or how many there are."""
    train_split: Literal["train", "trainval"] = "train"
    """The list of images to train on; val is for validation."""
    data_dir: Path | None = None
    """Where prepared data lies. Default: that of tensorflow-datasets, ~/tensorflow_datasets."""

    name: str | None = None
    """Name of the run's folder. Default: segment-BACKBONE."""
    runs_dir: Path = Path("runs")
    """Where run folders lie."""
    resume: bool = False
    """Go on with the run of this name, with its settings, after its latest checkpoint."""
    overwrite: bool = False
    """Replace the run of this name."""
    evaluate: bool = False
    """Only compute the scores of a checkpoint of the run of this name."""
    predict: tuple[Path, ...] = ()
    """Only segment these images, with a checkpoint of the run of this name, into its folder."""
    init_from: Path | None = None
    """Start from the weights of another run: its name or folder."""
    checkpoint: Literal["latest", "best"] = "latest"
    """Which checkpoint --evaluate, --predict and --init-from read."""
    plot_every: int = 5
    """Draw predictions every this many epochs, and after the last one."""

    def __post_init__(self) -> None:
        for field in ("epochs", "batch_size", "plot_every"):
            require(getattr(self, field) >= 1, field, "at least 1", getattr(self, field))
        require(0 < self.learning_rate < float("inf"), "learning_rate", "above 0", self.learning_rate)
        require(0 <= self.cache_limit < float("inf"), "cache_limit", "at least 0", self.cache_limit)
        require(0 <= self.seed < 2**32, "seed", "0 to 2³² − 1", self.seed)
        require(self.crop is None or self.crop >= 32, "crop", "at least 32", self.crop)
        sizes = self.image_size
        given = " ".join(map(str, sizes))
        require(
            len(sizes) <= 2 and all(n >= 32 for n in sizes), "image_size", "1 or 2 sizes from 32 on", given
        )
        self.check_run()
        if self.checkpoint != "latest" and not (self.evaluate or self.init_from or self.predict):
            raise UserError("--checkpoint is for --evaluate, --predict and --init-from: leave it out")
        if self.predict and (self.resume or self.overwrite or self.evaluate):
            raise UserError("--predict goes without --resume, --overwrite and --evaluate")
        if self.aux and self.train != "all":
            raise UserError("--aux is for --train all: leave it out")
        if (self.voc_dir is not None) + (self.archive is not None) + (self.dataset == "sample") > 1:
            raise UserError("--voc-dir, --archive and --dataset sample exclude each other: choose one")
        if self.classes and not (self.voc_dir or self.archive):
            raise UserError("--classes is for --voc-dir and --archive: leave it out")
        if self.train_split != "train" and self.dataset == "sample":
            raise UserError("the generated sample has no trainval: leave out --train-split")
        if self.crop and self.image_size:
            raise UserError("--crop and --image-size exclude each other: choose one")

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.runs_dir / (self.name or f"segment-{self.backbone}")

    @property
    def is_resnet(self) -> bool:
        return self.backbone != "efficientnet-lite0"

    def resolved(self) -> "SegmentConfig":
        """The settings with the defaults filled in that depend on backbone and data."""
        weights = self.class_weights
        return dataclasses.replace(
            self,
            output_stride=self.output_stride or (8 if self.is_resnet else 16),
            image_size=self.image_size or (() if self.crop else (256 if self.dataset == "sample" else 520,)),
            class_weights=weights if weights != "auto" else "sqrt" if self.classes else "none",
        )
