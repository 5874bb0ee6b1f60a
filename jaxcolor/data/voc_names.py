"""Names of images and masks, as lists and files have them."""

import difflib
import re
import unicodedata
from collections.abc import Container, Iterable, Iterator, Sequence
from functools import cache
from pathlib import PurePosixPath

from jaxcolor.data.image_files import image_suffixes

COLUMN = re.compile(r"[\s,;]+")
QUOTED = re.compile(r"([\"'])(.+?)\1(?P<rest>[\s,;].*)?")
NUMBERS_LAST = re.compile(r"([\s,;]+-?[\d.]+)+$")


def normalized(name: str) -> str:
    """Return a name with composed letters. macOS writes "é" as two characters in names of files."""
    return unicodedata.normalize("NFC", name)


def is_unicode(name: str) -> bool:
    """Return whether a name can be written. Python reads names of files that are not UTF-8 as surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def find_name(line: str, images: Container[str]) -> tuple[str | None, str]:
    """Return the name of the image that a line of a list names, or None, and the rest of the line.

    A name may have spaces: the longest beginning of the line that is a name counts.
    """
    line = normalized(line.replace("\\", "/"))
    if quoted := QUOTED.fullmatch(line):
        return _name_of(quoted[2], images), quoted["rest"] or ""
    ends = [len(line), *(match.start() for match in reversed(list(COLUMN.finditer(line))))]
    # First as if folders had no spaces, because a second column may be a path, too.
    for may_have_spaces in (False, True):
        for end in ends:
            folders = COLUMN.split(line[:end].rpartition("/")[0])
            if (len(folders) > 1) != may_have_spaces or any(_is_image_file(folder) for folder in folders):
                continue
            if name := _name_of(line[:end], images):
                return name, line[end:]
    return None, ""


def other_mask(rest: str, name: str, affixes: tuple[str, str]) -> str | None:
    """Return the mask file that the rest of a line names, if it is not that of the image `name`."""
    mask = NUMBERS_LAST.sub("", rest).strip(" \t,;\"'")
    stem = PurePosixPath(mask).stem
    is_same = stem in (name, f"{affixes[0]}{name}{affixes[1]}")
    return mask if _is_image_file(mask) and not is_same else None


def other_image(rest: str, name: str, images: Container[str]) -> str | None:
    """Return another image that the rest of a line names. Lists of VOC have -1, 0 or 1 there."""
    rest = rest.strip(" \t,;")
    other = None if rest in ("-1", "0", "1") else find_name(rest, images)[0]
    return None if other == name else other


def find_affixes(masks: Iterable[str], images: Container[str]) -> tuple[str, str]:
    """Return the text before and after the names of images that all names of masks have.

    It is empty if there is none, or if less than half of the masks belong to an image then.
    """
    masks = sorted(masks)
    best, most = ("", ""), (len(masks) - 1) // 2
    for before, after in sorted({affix for mask in masks[:20] for affix in _affixes(mask, images)}):
        if all(mask.startswith(before) and mask.endswith(after) for mask in masks):
            count = sum(mask[len(before) : len(mask) - len(after)] in images for mask in masks)
            if count > most:
                best, most = (before, after), count
    return best


def _affixes(mask: str, images: Container[str]) -> Iterator[tuple[str, str]]:
    """Yield the text before and after each name of an image that the name of a mask contains."""
    for start in range(len(mask)):
        for end in range(start + 1, len(mask) + 1):
            if mask[start:end] in images:
                yield mask[:start], mask[end:]


def describe_unknown(names: Sequence[str], known: Iterable[str]) -> str:
    """Return the first name, how many others there are, and a known name that is almost the same."""
    others = f" and {len(names) - 1} others" if len(names) > 1 else ""
    close = difflib.get_close_matches(names[0], list(known), n=1, cutoff=0.8)
    # "street 12" and "street 13" are close, but other images.
    is_same = close and re.findall(r"\d+", close[0]) == re.findall(r"\d+", names[0])
    return f"{names[0]}{others}" + (f"; did you mean {close[0]}?" if is_same else "")


def _name_of(path: str, images: Container[str]) -> str | None:
    """Return the name of the image that a path has, with or without a folder and a suffix, or None."""
    file = PurePosixPath(path)
    names = [file.name, *([file.stem] if _is_image_file(path) else [])]
    return next((name for name in names if name in images), None)


def _is_image_file(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in _suffixes()


@cache
def _suffixes() -> set[str]:
    return image_suffixes()
