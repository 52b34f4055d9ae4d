"""Download one gzip file, checked by two checksums, under a temporary name until it is whole."""

import gzip
import hashlib
import http.client
import os
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spikerun.errors import DataError

__all__ = ["Remote", "content_is_intact", "download"]

CHUNK = 1 << 16
TIMEOUT = 30  # seconds without any answer


@dataclass(frozen=True)
class Remote:
    """A file `name`.gz to download: its size and MD5 as published, and the SHA-256 of what is in it."""

    name: str
    size: int
    md5: str
    sha256: str


def download(remote: Remote, address: str, folder: Path, advance: Callable[[int], None]) -> Path:
    """Bring `remote` from `address` into `folder`, unless an intact copy is there already."""
    target = folder / f"{remote.name}.gz"
    if target.is_file() and content_is_intact(target, remote):
        advance(remote.size)
        return target
    temporary = folder / f".{target.name}.{os.getpid()}.tmp"
    url = f"{address}/{target.name}"
    try:
        _receive(url, remote, temporary, advance)
        if not content_is_intact(temporary, remote):
            raise DataError(f"{url}: the SHA-256 of the content differs from the published data set's")
        os.replace(temporary, target)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise DataError(f"{url} cannot be downloaded: {error}. Try again, or copy the files by hand") from error
    finally:
        temporary.unlink(missing_ok=True)
    return target


def content_is_intact(path: Path, remote: Remote) -> bool:
    """Compare the SHA-256 of the unpacked content with the pinned one; a damaged file is not intact."""
    digest = hashlib.sha256()
    try:
        with gzip.open(path, "rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return False
    return digest.hexdigest() == remote.sha256


def _receive(url: str, remote: Remote, temporary: Path, advance: Callable[[int], None]) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    received = 0
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, temporary.open("wb") as file:
        while chunk := answer.read(CHUNK):
            received += len(chunk)
            if received > remote.size:
                raise DataError(f"{url}: sends more than the {remote.size} bytes of the published file")
            digest.update(chunk)
            file.write(chunk)
            advance(len(chunk))
    if received != remote.size or digest.hexdigest() != remote.md5:
        raise DataError(
            f"{url}: received {received} bytes with the MD5 {digest.hexdigest()}, "
            f"expected {remote.size} with {remote.md5}; the transfer was cut short or the file was changed"
        )
