"""`--predict`: color or segment image files with a run, one at a time."""

import errno
import glob
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxcolor.data.image_files import image_suffixes, read_image
from jaxcolor.errors import UserError, reason
from jaxcolor.images import save_image
from jaxcolor.loading import load
from jaxcolor.training.config import RunConfig
from jaxcolor.training.memory import enough_memory

LONGEST_NAME = 200  # bytes. File systems take 255, and predictions and temporary files have suffixes.


def predict_files(config: RunConfig, **options: Any) -> list[Path]:
    """Write the predictions for `config.predict` into the folder of the run, and return their paths.

    `options` are those of the network's method `render`.

    `config.predict` has files, folders and patterns such as `*.jpg`. A file without a prediction, such as a
    broken one, does not stop the others. Raises `UserError` at the end if there were such files.
    """
    model = load(config.folder, config.checkpoint)
    files = name_predictions(find_files(config.predict))
    written: list[Path] = []
    problems: list[str] = []
    for name, path in files.items():
        try:
            with enough_memory(f"{path} is too large: give a smaller image"):
                images, line = model.render(read_image(path), **options)
            targets = [config.folder / "predictions" / f"{name}{suffix}.png" for suffix in images]
            for target, image in zip(targets, images.values(), strict=True):
                save_image(target, image)
        except UserError as error:
            problems.append(str(error))
            continue
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            problems.append(f"cannot write the prediction of {path}: {reason(error)}")
            continue
        print(f"{path}: {line}{' and '.join(map(str, targets))}", flush=True)
        written += targets
    if problems:
        have = "has" if len(problems) == 1 else "have"
        count = f"{len(problems)} of {len(files)} images {have} no prediction: " if len(files) > 1 else ""
        raise UserError(f"{count}{'; '.join(problems)}")
    return written


def find_files(given: Sequence[Path]) -> list[Path]:
    """Return the given files, the image files in given folders, and the files that fit given patterns.

    A file that is given twice, also by another path, is returned once.
    Raises `UserError` if there are none in a folder or for a pattern.
    """
    paths: list[Path] = []
    for path in given:
        if path.is_dir():
            suffixes = image_suffixes()
            found = [
                file
                for file in sorted(path.iterdir())
                if file.suffix.lower() in suffixes and not file.name.startswith(".")
            ]
            if not found:
                raise UserError(f"the folder {path} holds no image files")
            paths += found
        elif glob.has_magic(str(path)) and not path.exists():  # a pattern that the shell has not expanded
            fitting = sorted(glob.glob(str(path)))
            if not fitting:
                raise UserError(f"no file fits {path}")
            paths += map(Path, fitting)
        else:
            paths.append(path)
    different: dict[tuple[str, str], Path] = {}
    for path in paths:
        # Two links with different names are two images.
        different.setdefault((os.path.realpath(path), path.name), path)
    return list(different.values())


def name_predictions(paths: Sequence[Path]) -> dict[str, Path]:
    """Return the files by the names of their predictions: without suffix, if that tells them apart.

    Long names are cut. Raises `UserError` for files of one name in different folders.
    """
    stems = Counter(path.stem for path in paths)
    names = [_cut(path.stem if stems[path.stem] == 1 else path.name) for path in paths]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"two images are named {twice[0]}, and so would their predictions be: rename one")
    return dict(zip(names, paths, strict=True))


def _cut(name: str) -> str:
    encoded = os.fsencode(name)
    return name if len(encoded) <= LONGEST_NAME else encoded[:LONGEST_NAME].decode(errors="ignore")
