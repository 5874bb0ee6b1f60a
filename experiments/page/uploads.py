"""What users upload: image files that are checked before they are used, and a folder for each result."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxcolor.data.image_files import read_size
from jaxcolor.errors import UserError
from jaxcolor.training.memory import enough_memory

KEPT = 3  # results per tab of a visitor: the shown one, and those that may still be downloaded


class ResultFolders:
    """Makes a new folder for each result, which no other request uses, and deletes old ones."""

    def __init__(self, folder: Path):
        self._folder = folder

    def new(self, session: str, tab: str) -> Path:
        """Return a new folder for a result in a tab of the page. `session` identifies the visitor."""
        place = self._of(session) / tab
        place.mkdir(parents=True, exist_ok=True)
        for old in sorted(place.iterdir(), key=lambda path: path.stat().st_mtime_ns)[: 1 - KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        return Path(tempfile.mkdtemp(dir=place))

    def close(self, session: str) -> None:
        """Delete the results of a visitor who has left."""
        shutil.rmtree(self._of(session), ignore_errors=True)

    def _of(self, session: str) -> Path:
        """Return the folder of a visitor. The browser chooses the name, which may hold anything."""
        return self._folder / hashlib.sha256(session.encode()).hexdigest()[:16]


@contextmanager
def named_errors(source: Path) -> Iterator[None]:
    """Raise `UserError` with the name of an uploaded file instead of its path, also without enough memory."""
    try:
        with enough_memory(f"{source.name} is too large: give a smaller image"):
            yield
    except UserError as error:
        raise UserError(str(error).replace(str(source), source.name)) from error


def check_image(source: Path, most_pixels: int) -> None:
    """Raise `UserError` if an uploaded file is no image, is gone, or has too many pixels."""
    if not source.is_file():
        raise UserError(f"{source.name} is no longer on the server: drop it again")
    height, width = read_size(source, source.name)
    if height * width > most_pixels:
        raise UserError(
            f"{source.name} is too large: it has {height * width / 1e6:.3g} megapixels, and this page takes "
            f"{most_pixels / 1e6:g}. Give a smaller image, or start the page with a higher --max-megapixels"
        )


def unique_names(sources: list[Path]) -> list[str]:
    """Return the names of files, with numbers where two of different folders have the same."""
    names: list[str] = []
    for source in sources:
        name, number = source.name, 2
        while name in names:
            name, number = f"{source.stem} ({number}){source.suffix}", number + 1
        names.append(name)
    return names
