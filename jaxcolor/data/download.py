"""Downloads with a checksum and a progress bar. A file is complete or does not exist."""

import hashlib
import threading
from pathlib import Path

import pooch
import requests
from filelock import FileLock

from jaxcolor.errors import UserError, reason

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0


def file_hash(path: Path, algorithm: str = "md5") -> str:
    """Return the md5 or sha256 of a file, in hexadecimal."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, algorithm).hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error


def is_reachable(url: str) -> bool:
    """Return whether a server answers for `url` within a few seconds."""
    answers: list[bool] = []

    def ask() -> None:
        try:
            response = requests.head(url, timeout=CONNECT_SECONDS, allow_redirects=True)
            answers.append(response.ok)
        except requests.RequestException:
            answers.append(False)

    # A thread, because the timeout does not cover the name lookup.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    return answers == [True]


def is_downloaded(url: str, checksum: str, folder: Path) -> bool:
    """Return whether the file behind `url` is in `folder`, with this checksum."""
    path = folder / _file_name(url)
    return path.is_file() and _is_correct(path, checksum)


def download(url: str, checksum: str, folder: Path, advice: str) -> Path:
    """Return the file behind `url` in `folder`. Download it if it is not there with this checksum.

    `checksum` is "md5:…" or "sha256:…", complete or its first digits. `advice` says what to do without a
    network. Several processes download a file once. Raises `UserError`.
    """
    path = folder / _file_name(url)
    if is_downloaded(url, checksum, folder):
        return path
    downloader = pooch.HTTPDownloader(progressbar=True, timeout=(CONNECT_SECONDS, READ_SECONDS))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{path.name}.lock"):
            if not is_downloaded(url, checksum, folder):
                path.unlink(missing_ok=True)
                # pooch compares complete checksums only, so the comparison is made here.
                pooch.retrieve(url, known_hash=None, fname=path.name, path=folder, downloader=downloader)
    except requests.RequestException as error:
        raise UserError(f"cannot download {url}: {advice} ({reason(error)})") from error
    except OSError as error:
        raise UserError(f"cannot write into {folder}: {reason(error)}") from error
    if not _is_correct(path, checksum):
        path.unlink()
        raise UserError(f"{url} sent another file than expected: its {checksum} is different")
    return path


def _is_correct(path: Path, checksum: str) -> bool:
    algorithm, _, digest = checksum.partition(":")
    return file_hash(path, algorithm).startswith(digest)


def _file_name(url: str) -> str:
    return url.rsplit("/", 1)[-1]


pooch.get_logger().setLevel("WARNING")
