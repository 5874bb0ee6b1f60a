"""Files from the network: with a checksum, a progress bar, and never half of one."""

import hashlib
import tempfile
import threading
from pathlib import Path

import pooch
import requests

from jaxcolor.errors import UserError, reason

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0


def file_hash(path: Path, algorithm: str = "md5") -> str:
    """The md5, or the sha256, of a file, in hexadecimal."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, algorithm).hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error


def is_reachable(url: str) -> bool:
    """Whether a server answers for `url` within a few seconds."""
    answers: list[bool] = []

    def ask() -> None:
        try:
            response = requests.head(url, timeout=CONNECT_SECONDS, allow_redirects=True)
            answers.append(response.ok)
        except requests.RequestException:
            answers.append(False)

    # A thread, because the time-out does not cover the name look-up.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    return answers == [True]


def is_downloaded(url: str, checksum: str, folder: Path) -> bool:
    """Whether the file behind `url` lies in `folder` already, with this checksum."""
    path = folder / _file_name(url)
    return path.is_file() and _is_right(path, checksum)


def download(url: str, checksum: str, folder: Path, advice: str) -> Path:
    """The file behind `url` in `folder`, downloaded if it is not there with this checksum already.

    `checksum` is "md5:…" or "sha256:…", or the start of one. `advice` says what to do without a network.
    """
    if is_downloaded(url, checksum, folder):
        return folder / _file_name(url)
    fetch = pooch.HTTPDownloader(progressbar=True, timeout=(CONNECT_SECONDS, READ_SECONDS))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".download.") as temporary:
            path = Path(temporary, _file_name(url))
            fetch(url, str(path), None)
            if not _is_right(path, checksum):
                raise UserError(f"what {url} sent is not the expected file: its {checksum} is another one")
            return path.rename(folder / path.name)
    except requests.RequestException as error:
        raise UserError(f"cannot download {url}: {advice} ({reason(error)})") from error
    except OSError as error:
        raise UserError(f"cannot write into {folder}: {reason(error)}") from error


def _is_right(path: Path, checksum: str) -> bool:
    algorithm, _, digest = checksum.partition(":")
    return file_hash(path, algorithm).startswith(digest)


def _file_name(url: str) -> str:
    return url.rsplit("/", 1)[-1]
