"""`--predict`: color or segment image files with a run, one at a time."""

from collections.abc import Sequence
from pathlib import Path

from jaxcolor.data.image_files import image_suffixes, read_image
from jaxcolor.errors import UserError
from jaxcolor.images import save_image
from jaxcolor.loading import load
from jaxcolor.training.config import RunConfig
from jaxcolor.training.memory import enough_memory


def predict_files(config: RunConfig) -> list[Path]:
    """Write the predictions for `config.predict` into the folder of the run, and return their paths.

    A folder stands for the image files in it. A file that cannot be read does not stop the others. Raises
    `UserError` at the end if there were such files.
    """
    model = load(config.folder, config.checkpoint)
    paths = find_files(config.predict)
    written: list[Path] = []
    problems: list[str] = []
    for path in paths:
        try:
            with enough_memory(f"{path} is too large: give a smaller image"):
                images, line = model.render(read_image(path))
        except UserError as error:
            problems.append(str(error))
            continue
        targets = []
        for suffix, image in images.items():
            targets.append(config.folder / "predictions" / f"{path.stem}{suffix}.png")
            save_image(targets[-1], image)
        print(f"{path}: {line}{' and '.join(map(str, targets))}", flush=True)
        written += targets
    if problems:
        raise UserError(f"{len(problems)} of {len(paths)} images have no prediction: {'; '.join(problems)}")
    return written


def find_files(given: Sequence[Path]) -> list[Path]:
    """Return the given files, and the image files in given folders. Raises `UserError` for equal names."""
    paths: list[Path] = []
    for path in given:
        if path.is_dir():
            suffixes = image_suffixes()
            found = sorted(file for file in path.iterdir() if file.suffix.lower() in suffixes)
            if not found:
                raise UserError(f"the folder {path} holds no image files")
            paths += found
        else:
            paths.append(path)
    stems = [path.stem for path in paths]
    if twice := sorted({stem for stem in stems if stems.count(stem) > 1}):
        raise UserError(f"two images are named {twice[0]}, and so would their predictions be: rename one")
    return paths
