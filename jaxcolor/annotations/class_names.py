"""Names of classes in annotations, and the file classes.txt."""

from collections.abc import Sequence

from jaxcolor.data.class_files import COMMENT, VOID_NAMES, parse_classes
from jaxcolor.data.label_maps import VOID
from jaxcolor.data.text import read_lines
from jaxcolor.errors import UserError

BACKGROUND = "background"


def label_of(name: str) -> int | None:
    """Return 0 for a name of the background, `VOID` for one of void, and None for a class.

    Void has the names that files of classes give it. labelme's background is `_background_`.
    """
    if name.lower() in VOID_NAMES:
        return VOID
    return 0 if name.lower().strip("_") == BACKGROUND else None


def classes_file(names: Sequence[str], where: str) -> bytes:
    """Return the file that `--classes` reads as these names, in quotes if it reads them otherwise without.

    Raises `UserError` with `where` if there are too few or too many, or if a name cannot be written.
    """
    if len(names) < 2:
        raise UserError(f"{where} has no class but the background: annotate objects first")
    if len(names) > VOID:
        raise UserError(f"{where} has {len(names)} classes with the background: masks hold up to {VOID}")
    for mark in ("", '"'):
        text = "".join(f"{mark}{name}{mark}\n" for name in names)
        if _is_read_as(text, names):
            return text.encode()
    bad = next((name for name in names if not _is_read_as(f'"{name}"\n', [name])), names[0])
    raise UserError(f"{where}: the class {bad!r} cannot be written into a file of classes: rename it")


def _is_read_as(text: str, names: Sequence[str]) -> bool:
    try:
        lines = read_lines(text.encode(), "classes.txt", COMMENT)
        return parse_classes(lines, "classes.txt") == (tuple(names), ())
    except (UserError, UnicodeEncodeError):
        return False
