# SPDX-License-Identifier: Apache-2.0
import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from spikerun.datasets.idx import read_idx
from spikerun.errors import DataError

GOOD = struct.pack(">BBBBII", 0, 0, 8, 2, 2, 3) + bytes(range(6))
ZIPPED = gzip.compress(GOOD)


@pytest.mark.parametrize(("name", "pack"), [("a", bytes), ("a.gz", gzip.compress)])
def test_plain_and_gzip_files_are_read(tmp_path: Path, name: str, pack: type[bytes]) -> None:
    (tmp_path / name).write_bytes(pack(GOOD))
    assert np.array_equal(read_idx(tmp_path / name, (2, 3)), np.arange(6).reshape(2, 3))


@pytest.mark.parametrize("name", ["a", "a.gz"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        GOOD[:7],
        GOOD[:-1],
        GOOD + b"\0",
        b"\0\0\x0d" + GOOD[3:],
        struct.pack(">BBBBII", 0, 0, 8, 2, 2**32 - 1, 2**32 - 1) + bytes(6),
    ],
    ids=["empty", "header cut", "values cut", "too long", "floats", "absurd sizes"],
)
def test_malformed_file_is_refused_by_name(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if path.suffix else content)
    with pytest.raises(DataError, match=f"{path}'"):
        read_idx(path, (2, 3))


@pytest.mark.parametrize(
    "content", [ZIPPED[:-9], b"no gzip at all", ZIPPED[:12] + bytes(40)], ids=["cut", "text", "spoilt"]
)
def test_damaged_gzip_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{path}'"):
        read_idx(path, (2, 3))


@pytest.mark.parametrize("name", ["a", "a.gz"])
def test_nothing_is_allocated_for_sizes_that_the_file_cannot_hold(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    huge = struct.pack(">BBBBI", 0, 0, 8, 1, 2**32 - 1)
    path.write_bytes(gzip.compress(huge) if path.suffix else huge)
    with pytest.raises(DataError, match="announces"):
        read_idx(path, (2**32 - 1,))
