import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from jaxcolor.data.download import download, file_hash, is_downloaded, is_reachable
from jaxcolor.errors import UserError

CONTENT = b"images" * 1000
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start a server on this machine that has `file.bin`, and return its address."""
    monkeypatch.undo()  # allow connections
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "file.bin").write_bytes(CONTENT)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_file_hash(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_hash(tmp_path / "a") == "900150983cd24fb0d6963f7d28e17f72"
    with pytest.raises(UserError, match="cannot read .*: No such file"):
        file_hash(tmp_path / "b")


def test_downloads_once(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_downloaded(f"{server}/file.bin", MD5, tmp_path / "downloads")
    path = download(f"{server}/file.bin", MD5, tmp_path / "downloads", "advice")
    assert is_downloaded(f"{server}/file.bin", MD5, tmp_path / "downloads")
    assert not is_downloaded(f"{server}/file.bin", "md5:" + "0" * 32, tmp_path / "downloads")
    assert path.read_bytes() == CONTENT
    monkeypatch.setattr(requests, "get", None)
    assert download(f"{server}/file.bin", MD5, tmp_path / "downloads", "advice") == path


def test_the_start_of_a_checksum_is_enough(server: str, tmp_path: Path) -> None:
    start = "sha256:" + hashlib.sha256(CONTENT).hexdigest()[:8]
    assert download(f"{server}/file.bin", start, tmp_path, "advice").read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing(server: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not have the checksum md5:0+: advice"):
        download(f"{server}/file.bin", "md5:" + "0" * 32, tmp_path / "downloads", "advice")
    assert [path.name for path in (tmp_path / "downloads").glob("[!.]*")] == []


def test_a_missing_file_on_the_server_is_one_line(server: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot download .*404"):
        download(f"{server}/other.bin", MD5, tmp_path, "advice")


def test_is_reachable(server: str) -> None:
    assert is_reachable(f"{server}/file.bin")
    assert not is_reachable(f"{server}/other.bin")


def test_nothing_is_reachable_without_network(tmp_path: Path) -> None:
    assert not is_reachable("https://example.org")
    with pytest.raises(UserError, match="cannot download .*: advice"):
        download("https://example.org/file.bin", MD5, tmp_path, "advice")


def test_an_unwritable_folder(server: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write into"):
        download(f"{server}/file.bin", MD5, tmp_path / "file" / "folder", "advice")


def test_several_threads_download_a_file_once(server: str, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = list(
            pool.map(lambda _: download(f"{server}/file.bin", MD5, tmp_path / "d", "advice"), range(4))
        )
    assert set(paths) == {tmp_path / "d" / "file.bin"}
    assert paths[0].read_bytes() == CONTENT
