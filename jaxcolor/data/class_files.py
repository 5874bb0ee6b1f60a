"""Files of classes: a line per class with its name, and perhaps its number and its color in the masks."""

import re
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from jaxcolor.data.label_maps import VOID, Color
from jaxcolor.errors import UserError

FORMS = "write one class per line: NAME, NAME R G B, R G B NAME, or CVAT's NAME:R,G,B::"
COMMENT = re.compile(r"#(?![0-9a-fA-F]{6}[\s,;:=]+\S)")  # but "#808080 sky" is a class
TITLE = re.compile(r"((class|label|category)[ _]?)?names?|class(es)?|labels?|categor(y|ies)")
COLUMNS = {
    "id", "idx", "index", "number", "value", "color", "rgb", "r", "g", "b", "a", "red", "green", "blue"
}  # fmt: skip
# Other spellings of colors: CVAT's labelmap.txt has NAME:R,G,B:PARTS:ACTIONS.
CVAT = re.compile(r"([^:]+):(\d+,\d+,\d+)(?::.*)?")
HEX = re.compile(r"#([0-9a-fA-F]{6})\b")
BRACKETS = re.compile(r"(?:\brgb)?\s*[\[(]\s*(\d+)[\s,;]+(\d+)[\s,;]+(\d+)\s*[\])]", re.IGNORECASE)
NUMBERS_FIRST = re.compile(r"(?:\d{1,9}[\s,;:=]+)*")
NUMBERS_LAST = re.compile(r"(?:[\s,;:=]+\d{1,9})*$")
# Lines with a number and no color.
NUMBERED = (
    re.compile(r"(?P<number>\d{1,9})[.)]?[\s,;:=]+(?P<name>\S.*)"),
    re.compile(r"(?P<name>\S.*?)\s*[,;:=\t]\s*(?P<number>\d{1,9})"),
)
COUNTED = re.compile(r"(?P<name>\S.*?) +(?P<number>\d{1,9})")  # a line such as "sky 0", unless names repeat
# What no name has, unless it is in quotes: signs of other file formats, and rows of numbers.
SUSPECT = re.compile(
    r"[{}\[\]<>:=#|\t\"]|\b0x|[,;](?! )|^-\s"
    r"|^-?[\d.]+[\s,;]+-?[\d.]+(?:\s|$)|(?:^|\s)-?[\d.]+[\s,;]+-?[\d.]+$"
)
# Names of what is not a class: labelme's, and those of tables of colors.
IGNORED, VOID_NAMES = "__ignore__", ("__ignore__", "ignore", "void")
LABELME_BACKGROUND = "_background_"


class Line(NamedTuple):
    """A line, and the numbers before and after its name."""

    text: str
    before: tuple[int, ...]
    name: str
    after: tuple[int, ...]


def parse_classes(lines: Sequence[str], given: str) -> tuple[tuple[str, ...], tuple[tuple[Color, int], ...]]:
    """Return the names of the classes, and the label of each color if the lines have colors.

    `given` names the file in messages. Raises `UserError` for lines that can be read in several ways.
    """
    lines = [line.rstrip(",; ") or line for line in _without_heading(lines, given)]
    if all(line.startswith("- ") for line in lines):  # YAML's lists
        lines = [line[2:].strip() for line in lines]
    split = [_split(line) for line in lines]
    if any(len(line.before) >= 3 or len(line.after) >= 3 for line in split):
        return _read_colored(split, given)
    return _read_names([line for line in lines if _unquoted(line) != IGNORED], given), ()


def _without_heading(lines: Sequence[str], given: str) -> Sequence[str]:
    """Return the lines without a heading such as "name,r,g,b"."""
    first = lines[0].lower().rstrip(",; ") if lines else ""
    words = re.split(r"[\s,;]+", first)
    titles = [word for word in words if TITLE.fullmatch(word)]
    is_table = len(words) > 1 and bool(titles) and set(words) <= {*titles, *COLUMNS}
    order = [word[0] for word in words if word in ("r", "g", "b", "red", "green", "blue")]
    if is_table and order and order != ["r", "g", "b"]:
        _refuse(given, lines[0], "has colors in another order than R G B: write them in this order")
    if is_table or first in ("names:", "classes:", "labels:"):
        return lines[1:]
    if TITLE.fullmatch(first):
        _refuse(given, lines[0], "looks like a heading: remove it, or put it in quotes")
    return lines


def _split(text: str) -> Line:
    if cvat := CVAT.fullmatch(text):
        return Line(text, (), cvat[1], _numbers(cvat[2]))
    line = HEX.sub(lambda code: " {} {} {} ".format(*bytes.fromhex(code[1])), text)
    line = BRACKETS.sub(r" \1 \2 \3 ", line).strip()
    first = NUMBERS_FIRST.match(line)
    assert first, "it matches nothing, too"
    rest = line[first.end() :]
    last = NUMBERS_LAST.search(rest)
    assert last, "it matches nothing, too"
    return Line(text, _numbers(first[0]), rest[: last.start()], _numbers(last[0]))


def _read_colored(lines: Sequence[Line], given: str) -> tuple[tuple[str, ...], tuple[tuple[Color, int], ...]]:
    names = [_name(line.name, line.text, given) for line in lines]
    are_void = [name.lower() in VOID_NAMES for name in names]
    counts = [(len(line.before), len(line.after)) for line in lines]
    for line, count in zip(lines, counts, strict=True):
        if max(count) < 3:
            _refuse(given, line.text, "has no color, but other lines have one")
        if count != counts[0]:
            _refuse(
                given, line.text, "has other numbers than the first line: put names with numbers in quotes"
            )
    color = _place_of_color(lines, counts[0], are_void)
    if not color:
        _refuse(given, lines[0].text, f"can be read in several ways: {FORMS}")
    classes: list[str] = []
    colors: list[tuple[Color, int]] = []
    for line, name, is_void in zip(lines, names, are_void, strict=True):
        red, green, blue = (line.before + line.after)[color]
        if max(red, green, blue) > 255:
            raise UserError(
                f"--classes {given}: the color of {name}, {(red, green, blue)}, must have values up to 255"
            )
        colors.append(((red, green, blue), VOID if is_void else len(classes)))
        if not is_void:
            classes.append(name)
    return tuple(classes), tuple(colors)


def _place_of_color(lines: Sequence[Line], count: tuple[int, int], are_void: Sequence[bool]) -> slice | None:
    """Return which of the numbers of each line are the color, or None if that is not clear.

    A fourth number is the number of the class, counted from 0, or alpha, always 255.
    """
    if sum(count) == 3:
        return slice(0, 3)
    if sum(count) != 4:
        return None
    numbers = [line.before + line.after for line in lines]
    classes = [row for row, is_void in zip(numbers, are_void, strict=True) if not is_void]
    first, last = ([row[place] for row in classes] == list(range(len(classes))) for place in (0, 3))
    if count == (3, 1):
        return slice(0, 3) if last else None
    alpha = count != (1, 3) and all(row[3] == 255 for row in numbers)
    return None if first == alpha else slice(1, 4) if first else slice(0, 3)


def _read_names(lines: Sequence[str], given: str) -> tuple[str, ...]:
    """Return the names of lines without colors. Numbers must count from 0; number 255 is void."""
    texts = list(lines)
    for form in (*NUMBERED, COUNTED):
        matches = [match for line in lines if (match := form.fullmatch(line))]
        if len(matches) < len(lines) or (form is COUNTED and not _count_up(matches)):
            continue
        classes = [match for match in matches if int(match["number"]) != VOID]
        for label, match in enumerate(classes):
            if int(match["number"]) != label:
                _refuse(
                    given, match[0],
                    f"has the number {int(match['number'])}, but its label is {label}: give every label "
                    "from 0 on a line in order, or remove the numbers (quotes make a number part of a name)",
                )  # fmt: skip
        texts = [match["name"] for match in classes]
        lines = [match[0] for match in classes]
        break
    names = tuple(_name(text, line, given) for text, line in zip(texts, lines, strict=True))
    for name, line in zip(names, lines, strict=True):
        if name.lower() in VOID_NAMES:
            _refuse(given, line, f"is no class: remove it, because label {VOID} is void, or add colors")
    return names


def _count_up(matches: Sequence[re.Match[str]]) -> bool:
    """Return whether numbers count from 0 or 1, after names that differ: unlike "lane 1" and "lane 2"."""
    numbers = [int(match["number"]) for match in matches]
    start = numbers[0] if numbers else 0
    differ = len({match["name"] for match in matches}) == len(matches)
    return start in (0, 1) and differ and numbers == list(range(start, start + len(numbers)))


def _name(text: str, line: str, given: str) -> str:
    name = _unquoted(text)
    if not name or (name == text.strip() and SUSPECT.search(name)):
        _refuse(given, line, f"is not understood: {FORMS}")
    return "background" if name == LABELME_BACKGROUND else name


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d{1,9}", text)))


def _refuse(given: str, line: str, problem: str) -> NoReturn:
    shown = line if len(line) <= 60 else f"{line[:60]}…"
    raise UserError(f"--classes {given}: the line {shown!r} {problem}")
