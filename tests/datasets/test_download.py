# SPDX-License-Identifier: Apache-2.0
import gzip
import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from spikerun.datasets.download import Remote, download
from spikerun.errors import DataError

CONTENT = bytes(range(256)) * 64
PACKED = gzip.compress(CONTENT, mtime=0)
REMOTE = Remote("a", len(PACKED), hashlib.md5(PACKED).hexdigest(), hashlib.sha256(CONTENT).hexdigest())


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Serve a folder on this machine."""
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=partial(server.serve_forever, 0.02), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def test_file_is_downloaded_with_progress(served: tuple[str, Path], here: Path) -> None:
    address, folder = served
    (folder / "a.gz").write_bytes(PACKED)
    chunks: list[int] = []
    assert download(REMOTE, address, here, chunks.append).read_bytes() == PACKED
    assert sum(chunks) == len(PACKED)
    assert [path.name for path in here.iterdir()] == ["a.gz"]


def test_intact_copy_is_kept(here: Path) -> None:
    other_packing = gzip.compress(CONTENT, 1, mtime=5)
    (here / "a.gz").write_bytes(other_packing)
    download(REMOTE, "http://127.0.0.1:1", here, lambda size: None)
    assert (here / "a.gz").read_bytes() == other_packing


def test_damaged_copy_is_replaced(served: tuple[str, Path], here: Path) -> None:
    address, folder = served
    (folder / "a.gz").write_bytes(PACKED)
    (here / "a.gz").write_bytes(PACKED[:-20])
    download(REMOTE, address, here, lambda size: None)
    assert (here / "a.gz").read_bytes() == PACKED


@pytest.mark.parametrize(
    ("sent", "message"),
    [(PACKED[:-1], "the MD5"), (PACKED[:-1] + b"x", "the MD5"), (PACKED + b"x", "sends more than")],
    ids=["short", "changed", "long"],
)
def test_wrong_file_is_refused_and_removed(served: tuple[str, Path], here: Path, sent: bytes, message: str) -> None:
    address, folder = served
    (folder / "a.gz").write_bytes(sent)
    with pytest.raises(DataError, match=message):
        download(REMOTE, address, here, lambda size: None)
    assert not list(here.iterdir())


def test_wrong_content_is_refused(served: tuple[str, Path], here: Path) -> None:
    address, folder = served
    (folder / "a.gz").write_bytes(PACKED)
    with pytest.raises(DataError, match="SHA-256"):
        download(Remote("a", len(PACKED), REMOTE.md5, "0" * 64), address, here, lambda size: None)


def test_missing_file_names_the_address(served: tuple[str, Path], here: Path) -> None:
    with pytest.raises(DataError, match=r"/a\.gz cannot be downloaded: .*404"):
        download(REMOTE, served[0], here, lambda size: None)


def test_no_network_names_the_address(here: Path) -> None:
    with pytest.raises(DataError, match=r"http://127\.0\.0\.1:1/a\.gz cannot be downloaded"):
        download(REMOTE, "http://127.0.0.1:1", here, lambda size: None)
