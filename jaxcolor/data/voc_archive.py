"""Tar archives with the layout of Pascal VOC."""

import contextlib
import lzma
import posixpath
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from jaxcolor.data.voc_layout import VocLayout, find_root
from jaxcolor.errors import UserError, reason


@contextlib.contextmanager
def open_archive(archive: Path) -> Iterator[VocLayout[tarfile.TarInfo]]:
    """Return the files of an archive while it is open. Raises `UserError` for any other file."""
    check_file(archive)
    with contextlib.ExitStack() as stack:
        with _reading(archive):
            tar = stack.enter_context(tarfile.open(archive))
            files = find_files(tar)
        root = find_root(files, archive)
        inside = {path.relative_to(root): m for path, m in files.items() if path.is_relative_to(root)}
        lock = threading.Lock()

        def read(member: tarfile.TarInfo) -> bytes:
            with lock, _reading(archive):  # a tar file has one position
                return tar.extractfile(member).read()  # type: ignore[union-attr]

        yield VocLayout(archive, inside, read, lambda member: f"{archive}: {member.name}")


def check_file(archive: Path) -> None:
    """Raise `UserError` for a folder."""
    if archive.is_dir():
        raise UserError(f"{archive} is a folder: give it with --voc-dir")


def find_files(tar: tarfile.TarFile) -> dict[PurePosixPath, tarfile.TarInfo]:
    """Return the files of an archive by path. Symbolic links stand for the files that they lead to."""
    members = {PurePosixPath(posixpath.normpath(member.name)): member for member in tar.getmembers()}
    files = {path: member for path, member in members.items() if member.isreg() or member.islnk()}
    links = {path: member for path, member in members.items() if member.issym()}
    for _ in range(2):  # a link may lead to another one
        folders = {folder for path in files for folder in path.parents}
        for path, member in links.items():
            target = PurePosixPath(posixpath.normpath(path.parent / member.linkname))
            if target in files:
                files[path] = files[target]
            elif target in folders and not path.is_relative_to(target):
                below = {p.relative_to(target): file for p, file in files.items() if p.is_relative_to(target)}
                files |= {path / inside: file for inside, file in below.items()}
    return files


@contextlib.contextmanager
def _reading(archive: Path) -> Iterator[None]:
    try:
        yield
    except tarfile.ReadError as error:
        if zipfile.is_zipfile(archive):
            raise UserError(
                f"{archive} is a zip archive: unpack it, and give the folder with --voc-dir"
            ) from error
        raise UserError(f"{archive} is truncated or not a tar archive") from error
    except (EOFError, tarfile.TarError, zlib.error, lzma.LZMAError) as error:
        raise UserError(f"{archive} is truncated or not a tar archive: {reason(error)}") from error
    except OSError as error:
        raise UserError(f"cannot read {archive}: {reason(error)}") from error
