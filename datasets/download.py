# SPDX-License-Identifier: Apache-2.0
"""Download one gzip file, checked by two checksums before it gets its name."""

import gzip
import hashlib
import http.client
import io
import os
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from spikerun.atomic import write_atomically
from spikerun.errors import DataError

__all__ = ["Remote", "cache", "content_is_intact", "download", "places"]

CHUNK = 1 << 16
TIMEOUT = 30  # seconds without any answer


@dataclass(frozen=True)
class Remote:
    """A file `name`.gz to download: its size and MD5 as published, and the SHA-256 of what is in it."""

    name: str
    size: int
    md5: str
    sha256: str


def cache(name: str) -> Path:
    """Return the folder of the user's cache for a data set."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "spikerun" / name


def places(
    name: str, folder: Path | None, inside: tuple[str, ...] = (), installed: tuple[Path, ...] = ()
) -> tuple[Path, ...]:
    """Return the folders where a data set is looked for, in order.

    inside: where its files may lie inside a folder that is given. installed: the folders of packages.
    """
    if folder is not None:
        return (folder, *(folder / one for one in (name, *inside)))
    data = os.environ.get("SPIKERUN_DATA")
    return (*([Path(data) / name] if data else []), *installed, cache(name))


def download(remote: Remote, address: str, folder: Path, advance: Callable[[int], None]) -> Path:
    """Bring `remote` from `address` into `folder`, unless an intact copy is there already."""
    target = folder / f"{remote.name}.gz"
    if target.is_file() and content_is_intact(target, remote):
        advance(remote.size)
        return target
    url = f"{address}/{target.name}"
    try:
        packed = _received(url, remote, advance)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise DataError(f"{url} cannot be downloaded: {error}. Try again, or copy the files by hand") from error
    if not content_is_intact(io.BytesIO(packed), remote):
        raise DataError(f"{url}: the SHA-256 of the content differs from the published data set's")
    return write_atomically(target, packed, force=True)


def content_is_intact(packed: Path | BinaryIO, remote: Remote) -> bool:
    """Compare the SHA-256 of the unpacked content with the pinned one; a damaged file is not intact."""
    digest = hashlib.sha256()
    try:
        with gzip.open(packed, "rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return False
    return digest.hexdigest() == remote.sha256


def _received(url: str, remote: Remote, advance: Callable[[int], None]) -> bytes:
    packed = bytearray()
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
        while chunk := answer.read(CHUNK):
            packed += chunk
            if len(packed) > remote.size:
                raise DataError(f"{url}: sends more than the {remote.size} bytes of the published file")
            advance(len(chunk))
    md5 = hashlib.md5(packed, usedforsecurity=False).hexdigest()
    if len(packed) != remote.size or md5 != remote.md5:
        raise DataError(
            f"{url}: received {len(packed)} bytes with the MD5 {md5}, expected {remote.size} with {remote.md5}; "
            "the transfer was cut short or the file was changed"
        )
    return bytes(packed)
