"""`jaxcolor compare`: the predictions of several runs for the same images, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from jaxtyping import UInt8
from PIL import Image

from jaxcolor.data.image_files import read_image
from jaxcolor.data.photographs import load_photographs
from jaxcolor.drawing import GAP, row, sheet
from jaxcolor.errors import UserError
from jaxcolor.files import check_writable
from jaxcolor.images import LabelMap, image_format, save_image
from jaxcolor.loading import load
from jaxcolor.predict import find_files
from jaxcolor.segmentation.drawing import overlay
from jaxcolor.training.progress import Progress

HEIGHT = 200  # pixels of each drawn image

ImageArray = UInt8[np.ndarray, "_ _ 3"]


@dataclass(frozen=True)
class CompareConfig:
    """Draw what several runs predict for the same images."""

    runs: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(help_behavior_hint="", metavar="RUN [RUN ...]")
    ]
    """Folders of runs; photo is the network for photographs that comes with jaxcolor."""
    images: Annotated[tuple[Path, ...], tyro.conf.arg(help_behavior_hint="", metavar="PATH [PATH ...]")] = ()
    """Images, folders and patterns. Default: photographs that installed packages contain."""
    out: Annotated[Path, tyro.conf.arg(metavar="FILE")] = Path("compare.png")
    """The image file to write."""


def compare(config: CompareConfig) -> None:
    """Draw the images, and what each run predicts for them.

    Raises `UserError` for fewer than two runs, for a run or an image that cannot be read, and for a format
    that Pillow cannot write, all before anything is predicted.
    """
    if len(set(config.runs)) < 2:
        raise UserError("give two runs or more to compare")
    image_format(config.out)
    images = read_images(config.images)
    models = {run: load(run) for run in config.runs}
    check_writable(config.out.parent)
    strips = {"image": strip(images)}
    with Progress(len(models) * len(images), 0, "predicting") as progress:
        for run, model in models.items():
            drawn = []
            for image in images:
                drawn.append(as_colors(image, model.predict(image)))
                progress.advance(1, "predicting")
            strips[run] = strip(drawn)
    save_image(config.out, sheet("", strips, GAP))
    print(config.out)


def read_images(given: Sequence[Path]) -> list[ImageArray]:
    """Return the given images, or the photographs of the sample if there are none."""
    return [read_image(path) for path in find_files(given)] if given else load_photographs()


def as_colors(image: ImageArray, predicted: np.ndarray) -> ImageArray:
    """Return a prediction as it is drawn: colors as they are, labels over the image."""
    if isinstance(predicted, LabelMap):
        return np.asarray(overlay(image, np.asarray(predicted), predicted.classes))
    return np.asarray(predicted)


def strip(images: Sequence[ImageArray]) -> Image.Image:
    """Return the images side by side, at the same height."""
    return row([at_height(Image.fromarray(image)) for image in images])


def at_height(image: Image.Image) -> Image.Image:
    """Return an image resized to `HEIGHT`."""
    width = max(1, round(image.width * HEIGHT / image.height))
    return image.resize((width, HEIGHT), Image.Resampling.LANCZOS)
