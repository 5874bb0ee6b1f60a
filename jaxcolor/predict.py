"""`--predict`: color or segment image files, one at a time."""

import errno
import glob
import os
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from jaxcolor.data.image_files import image_suffixes
from jaxcolor.errors import UserError, reason
from jaxcolor.files import check_writable
from jaxcolor.training.memory import enough_memory
from jaxcolor.training.progress import Progress

LONGEST_NAME = 200  # bytes. File systems take 255, and predictions and temporary files have suffixes.
# Predicts for a file. Takes its path, and the path of the prediction before `predict_file` adds suffixes.
# Returns the paths of what it has written, and a note for the terminal.
PredictFile = Callable[[Path, Path], tuple[list[Path], str]]


def predict_files(
    given: Sequence[Path], out: Path, predict_file: PredictFile, keep_suffix: bool = False
) -> list[Path]:
    """Write predictions for files, folders and patterns such as `*.jpg` into a folder. Return their paths.

    With `keep_suffix`, predictions have the names of their images. A single one may have a name of its own:
    `out` is then the path of an image file. A file without a prediction, such as a broken one, does not
    stop the others. Raises `UserError` at the end if there were such files, and at the start if predictions
    would overwrite their images.
    """
    sources = find_files(given)
    if keep_suffix and out.suffix.lower() in image_suffixes() and not os.path.isdir(out):
        if len(sources) > 1:
            raise UserError(f"--out {out} names one file, but there are {len(sources)} images: give a folder")
        targets = {sources[0]: out}
    else:
        targets = {source: out / name for name, source in name_predictions(sources, keep_suffix).items()}
    check_originals_stay(targets)
    for target in {target.parent for target in targets.values()}:
        try:
            check_writable(target)
        except OSError as error:
            raise UserError(f"cannot write into {target}: {reason(error)}; choose another --out") from error
    written: list[Path] = []
    problems: list[str] = []
    with Progress(len(targets), 0, "predicting") as progress:
        for source, target in targets.items():
            try:
                with enough_memory(f"{source} is too large: give a smaller image"):
                    paths, note = predict_file(source, target)
            except UserError as error:
                problems.append(str(error))
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise
                problems.append(f"cannot write the prediction of {source}: {reason(error)}")
            else:
                progress.line(f"{source}: {note}{' and '.join(map(str, paths))}")
                written += paths
            progress.advance(1, "predicting")
    if problems:
        have = "has" if len(problems) == 1 else "have"
        count = f"{len(problems)} of {len(targets)} images {have} no prediction: " if len(targets) > 1 else ""
        raise UserError(f"{count}{'; '.join(problems)}")
    return written


def check_originals_stay(targets: dict[Path, Path]) -> None:
    """Raise `UserError` if a prediction would overwrite an image."""
    # Of `os.path`, because a path below a folder without permission makes `Path.exists` raise.
    images = {identity(source) for source in targets if os.path.exists(source)}
    for target in targets.values():
        if os.path.exists(target) and identity(target) in images:
            raise UserError(f"the prediction would overwrite {target}: give another folder with --out")


def identity(path: Path) -> tuple[int, int]:
    """Return what is equal for two paths of one file."""
    facts = path.stat()
    return facts.st_dev, facts.st_ino


def find_files(given: Sequence[Path]) -> list[Path]:
    """Return the given files, the image files in given folders, and the files that fit given patterns.

    A file that is given twice, also by another path, is returned once.
    Raises `UserError` if there are none in a folder or for a pattern.
    """
    paths: list[Path] = []
    for path in given:
        if os.path.isdir(path):
            suffixes = image_suffixes()
            found = [
                file
                for file in sorted(path.iterdir())
                if file.suffix.lower() in suffixes and not file.name.startswith(".") and file.is_file()
            ]
            if not found:
                raise UserError(f"the folder {path} holds no image files")
            paths += found
        elif glob.has_magic(str(path)) and not os.path.exists(path):
            fitting = fitting_files(path)
            if not fitting:
                raise UserError(f"no file fits {path}")
            paths += fitting
        else:
            paths.append(path)
    different: dict[tuple[str, str], Path] = {}
    for path in paths:
        # Two links with different names are two images.
        different.setdefault((os.path.realpath(path), path.name), path)
    return list(different.values())


def fitting_files(pattern: Path) -> list[Path]:
    """Return the files that fit a pattern. The folders at its start that exist are no pattern."""
    folder = next(folder for folder in pattern.parents if os.path.exists(folder))
    names = glob.glob(str(pattern.relative_to(folder)), root_dir=folder)
    return [folder / name for name in sorted(names)]


def name_predictions(paths: Sequence[Path], keep_suffix: bool = False) -> dict[str, Path]:
    """Return the files by the names of their predictions.

    A name is that of the image, with its suffix if `keep_suffix` or if two images differ in it alone.
    Long names are cut, and end with a checksum of the whole. Raises `UserError` for files of one name in
    different folders.
    """
    stems = Counter(path.stem for path in paths)
    names = [
        _cut(path.stem) + path.suffix
        if keep_suffix
        else _cut(path.stem if stems[path.stem] == 1 else path.name)
        for path in paths
    ]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"two images are named {twice[0]}, and so would their predictions be: rename one")
    return dict(zip(names, paths, strict=True))


def _cut(name: str) -> str:
    encoded = os.fsencode(name)
    if len(encoded) <= LONGEST_NAME:
        return name
    return f"{encoded[:LONGEST_NAME].decode(errors='ignore')}-{zlib.crc32(encoded):08x}"
