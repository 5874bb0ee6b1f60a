"""The settings of `jaxcolor convert`. This module imports nothing heavy, so `--help` is fast."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class ConvertConfig:
    """Turn annotations of COCO or labelme into a folder for `jaxcolor segment`.

    It has VOC's JPEGImages and SegmentationClass, and the file classes.txt.

    The exit status is 1 if there are problems. Then nothing is written.
    """

    source: Annotated[
        tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="SOURCE", help_behavior_hint="")
    ]
    """A COCO file, or two: for training and for validation. Or a folder of labelme's files."""
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """The folder to write. It must not exist."""
    image_dir: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = ()
    """Folder of the images, or one for each COCO file. Default: that of the annotations."""
    classes: Annotated[str | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """For labelme: a file with one class per line, in the order of the labels. Default: the background,
    then the classes in alphabetical order."""
