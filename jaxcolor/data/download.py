"""Downloads with a checksum and a progress bar."""

import hashlib
import threading
from pathlib import Path

import pooch
import requests

from jaxcolor.errors import UserError, reason
from jaxcolor.files import locked

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0


def file_hash(path: Path, algorithm: str = "md5") -> str:
    """Return the md5 or sha256 of a file, in hexadecimal digits. Raises `UserError`."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, algorithm).hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error


def is_reachable(url: str) -> bool:
    """Return whether a server has a file at `url`. It must answer within `CONNECT_SECONDS`."""
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
    """Return whether the file of `url` is in `folder` and has this checksum."""
    path = folder / _file_name(url)
    algorithm, _, digits = checksum.partition(":")
    return path.is_file() and file_hash(path, algorithm).startswith(digits)


def download(url: str, checksum: str, folder: Path, advice: str) -> Path:
    """Return the path of the file of `url` in `folder`, after downloading it if necessary.

    `checksum` is "md5:…" or "sha256:…", with all digits or the first ones. Processes that download the same
    file wait for the first one. Raises `UserError` with `advice`, which says what to do without this file.
    """
    path = folder / _file_name(url)
    if is_downloaded(url, checksum, folder):
        return path
    downloader = pooch.HTTPDownloader(progressbar=True, timeout=(CONNECT_SECONDS, READ_SECONDS))
    algorithm, _, digits = checksum.partition(":")
    has_all_digits = len(digits) == 2 * hashlib.new(algorithm).digest_size
    try:
        with locked(path, f"Waiting for another process that downloads {path}"):
            if has_all_digits:
                pooch.retrieve(url, checksum, path.name, folder, downloader=downloader)
            elif not is_downloaded(url, checksum, folder):
                # pooch compares complete checksums only.
                path.unlink(missing_ok=True)
                pooch.retrieve(url, None, path.name, folder, downloader=downloader)
                if not is_downloaded(url, checksum, folder):
                    path.unlink()
                    raise ValueError("wrong checksum")
    except requests.RequestException as error:
        raise UserError(f"cannot download {url}: {advice} ({reason(error)})") from error
    except OSError as error:
        raise UserError(f"cannot write into {folder}: {reason(error)}") from error
    except ValueError as error:
        raise UserError(f"{url} does not have the checksum {checksum}: {advice}") from error
    return path


def _file_name(url: str) -> str:
    return url.rsplit("/", 1)[-1]


pooch.get_logger().setLevel("WARNING")
