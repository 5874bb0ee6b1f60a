"""`jaxcolor convert`: annotations of COCO or labelme as a folder with the layout of VOC."""

import shlex
import sys
from pathlib import Path

import numpy as np

from jaxcolor.annotations.class_names import BACKGROUND, classes_file
from jaxcolor.annotations.coco import CocoFile
from jaxcolor.annotations.config import ConvertConfig
from jaxcolor.annotations.images import AnnotatedImage
from jaxcolor.annotations.labelme import LabelmeFolder
from jaxcolor.annotations.problems import Problems
from jaxcolor.annotations.voc_folder import Names, VocFolder
from jaxcolor.data.classes import read_classes
from jaxcolor.data.label_maps import VOID
from jaxcolor.errors import UserError
from jaxcolor.files import expand_user, new_folder
from jaxcolor.training.progress import Progress

Source = CocoFile | LabelmeFolder


def convert(config: ConvertConfig) -> None:
    """Write the folder `config.out`.

    Raises `UserError` if there are problems, after it printed them. Then there is no folder.
    """
    problems = Problems()
    out = expand_user(config.out)
    with new_folder(out) as folder:
        with problems.noting():
            sources = open_sources(config, problems)
            conversion = Conversion(folder, sources, problems)
            with Progress(sum(map(len, sources)), 0, "reading") as progress:
                for source in sources:
                    conversion.add(source, progress)
            if not problems:
                conversion.finish()
        problems.check()
    print(conversion.summary(out), flush=True)


def open_sources(config: ConvertConfig, problems: Problems) -> list[Source]:
    """Return the COCO files, or the folder of labelme's files. Raises `UserError` for other sources."""
    paths = [expand_user(path) for path in config.source]
    folders: list[Path | None] = [expand_user(path) for path in config.image_dir]
    for path in (*paths, *filter(None, folders)):
        if not path.exists():
            raise UserError(f"{path} does not exist: give the path of the annotations or images")
    if len(folders) > max(1, len(paths)):
        raise UserError("--image-dir takes one folder, or one for each COCO file")
    folders = folders * len(paths) if len(folders) == 1 else folders or [None] * len(paths)
    if len(paths) == 1 and paths[0].is_dir():
        names = None if config.classes is None else read_classes(config.classes).names
        return [LabelmeFolder(paths[0], folders[0], names, problems)]
    if not 1 <= len(paths) <= 2 or any(path.is_dir() for path in paths):
        raise UserError("give a COCO file, two for training and validation, or a folder of labelme's files")
    if config.classes is not None:
        raise UserError("--classes is for labelme: leave it out, because a COCO file has its categories")
    files = [CocoFile(path, folder, problems) for path, folder in zip(paths, folders, strict=True)]
    if files[0].categories != files[-1].categories:
        raise UserError(f"{paths[0]} and {paths[1]} have other categories: export both with the same ones")
    return list(files)


class Conversion:
    """Masks that are drawn and written. After the first problem, images are checked and not written."""

    def __init__(self, folder: Path, sources: list[Source], problems: Problems):
        # After a problem the classes may be wrong, and nothing is written.
        classes = b"" if problems else classes_file(sources[0].classes, str(sources[0].path))
        self._voc = VocFolder(folder, classes)
        self._sources = sources
        self._problems = problems
        self._names = Names()
        self._lists: list[list[str]] = []
        self._users: dict[Path, str] = {}  # per image file, the annotations that name it
        self._labels: set[int] = set()

    def add(self, source: Source, progress: Progress) -> None:
        """Convert all images of a source."""
        names: list[str] = []
        for index in range(len(source)):
            with self._problems.noting():
                names.append(self._convert(source[index]))
            progress.advance(1, "converting")
        self._lists.append(names)

    def finish(self) -> None:
        """Write the lists, and warn of what the user may not expect. Raises `UserError` without objects."""
        background = self._sources[0].classes.index(BACKGROUND)
        if not self._labels - {background, VOID}:
            raise UserError(f"{self._sources[0].path} has no object of a class: there is nothing to learn")
        if len(self._lists) == 2:
            for split, names in zip(("train", "val"), self._lists, strict=True):
                self._voc.write_list(split, names)
        for source in self._sources:
            for line in source.warnings():
                warn(line)
        if self._names.changed:
            warn(
                "images that got another name, because names must differ and fit into lists: "
                f"{self._names.changed}"
            )

    def summary(self, out: Path) -> str:
        """Return what was written, and how to go on."""
        images = sum(map(len, self._lists))
        classes = len(self._sources[0].classes)
        folder, names = shlex.quote(str(out)), shlex.quote(str(out / "classes.txt"))
        split = "" if len(self._lists) == 2 else " --split 0.2"
        return (
            f"{out}: {images} image{'' if images == 1 else 's'}, {classes} classes with the background\n"
            f"look at them: jaxcolor inspect {folder} --classes {names}\n"
            f"train: jaxcolor segment --voc-dir {folder} --classes {names}{split}"
        )

    def _convert(self, image: AnnotatedImage) -> str:
        if isinstance(image.file, Path):
            file = image.file.resolve()
            if other := self._users.get(file):
                raise UserError(f"{image.where} has the same image as {other}: remove one of them")
            self._users[file] = image.where
        name = self._names.choose(image.path)
        self._labels |= set(np.flatnonzero(np.bincount(image.label_map.ravel())).tolist())
        if not self._problems:
            self._voc.add(name, image.file, image.suffix, image.label_map)
        return name


def warn(line: str) -> None:
    """Print a warning."""
    print(f"warning: {line}", file=sys.stderr, flush=True)
