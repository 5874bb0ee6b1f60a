"""Text files that users write: lists of images and of classes."""

import codecs
import re
from pathlib import Path

from jaxcolor.errors import UserError, reason

COMMENT = re.compile("#")
INVISIBLE = "\ufeff\u200b\u200e"  # marks that editors and web pages leave


def read_lines(source: Path | bytes, name: str, comment: re.Pattern[str] = COMMENT) -> list[str]:
    """Return the lines of a text file, without blank lines and comments (lines that begin so).

    The file is UTF-8, or UTF-16 with a byte-order mark. Raises `UserError` with `name` for any other file.
    """
    try:
        data = source if isinstance(source, bytes) else source.read_bytes()
        is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read {name}: {reason(error)}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not a text file in UTF-8: save it as UTF-8") from error
    except ValueError as error:  # a path with a NUL byte
        raise UserError(f"cannot read {name}: {reason(error)}") from error
    if "\0" in text:
        raise UserError(f"{name} is not a text file in UTF-8: save it as UTF-8")
    lines = (line.strip(INVISIBLE).strip() for line in text.splitlines())
    return [line for line in lines if line and not comment.match(line)]
