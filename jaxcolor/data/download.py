"""Files from the network: with a checksum, a progress bar, and never half of one."""

import hashlib
import threading
from pathlib import Path

import pooch
import requests

from jaxcolor.errors import UserError, reason

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0


def file_md5(path: Path) -> str:
    """The md5 of a file, in hexadecimal."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
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


def is_downloaded(url: str, md5: str, folder: Path) -> bool:
    """Whether the file behind `url` lies in `folder` already, with this md5."""
    path = folder / _file_name(url)
    return path.is_file() and file_md5(path) == md5


def download(url: str, md5: str, folder: Path) -> Path:
    """The file behind `url` in `folder`, downloaded if it is not there with this md5 already."""
    pooch.get_logger().setLevel("WARNING")
    downloader = pooch.HTTPDownloader(progressbar=True, timeout=(CONNECT_SECONDS, READ_SECONDS))
    try:
        path = pooch.retrieve(
            url, known_hash=f"md5:{md5}", fname=_file_name(url), path=folder, downloader=downloader
        )
    except requests.RequestException as error:
        raise UserError(
            f"cannot download {url}: give a local copy with --archive FILE, "
            f"or train on the built-in pictures with --dataset sample ({reason(error)})"
        ) from error
    except ValueError as error:  # pooch: the checksum is another one
        raise UserError(f"what {url} sent is not the expected file: {reason(error)}") from error
    except OSError as error:
        raise UserError(f"cannot write into {folder}: {reason(error)}") from error
    return Path(path)


def _file_name(url: str) -> str:
    return url.rsplit("/", 1)[-1]
