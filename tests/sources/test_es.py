# SPDX-License-Identifier: Apache-2.0
"""Event Stream files of our own writing, whose rows count from the bottom."""

import struct
from pathlib import Path

import pytest

from spikerun import sources
from spikerun.errors import DataError, UnsupportedError

Row = tuple[int, int, int, int]  # t, x, y from the top, p
ROWS: list[Row] = [(0, 5, 6, 1), (126, 0, 0, 0), (127, 319, 239, 1), (1000, 1, 2, 0), (1000, 254, 1, 1)]
HEADER = b"Event Stream\x02\x00\x00"
SIZE = struct.pack("<HH", 320, 240)


def es(path: Path, rows: list[Row], more: bytes = b"") -> Path:
    """Write events of a DVS: a byte of 7 bits of time and the polarity, x, y; before it 255 for each 127 us."""
    found, last = [HEADER, b"\x01", SIZE], 0
    for t, x, y, p in rows:
        found += [b"\xff" * ((t - last) // 127), struct.pack("<BHH", (t - last) % 127 << 1 | p, x, 239 - y)]
        last = t
    path.write_bytes(b"".join(found) + more)
    return path


def read(path: Path, chunk: int = 65_536) -> list[Row]:
    return [row for part in sources.file(path, chunk=chunk) for row in part.tolist()]


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_rows_count_from_the_top(tmp_path: Path, chunk: int) -> None:
    path = es(tmp_path / "a.es", ROWS)
    assert (read(path, chunk), sources.file(path).shape) == (ROWS, (2, 240, 320))


def test_exposures_of_atis_are_passed_over(tmp_path: Path) -> None:
    raw = [
        struct.pack("<BHH", 5 << 2 | 0b10, 7, 239),
        struct.pack("<BHH", 0b01, 8, 239),
        struct.pack("<BHH", 1 << 2, 9, 0),
    ]
    (tmp_path / "a.es").write_bytes(HEADER + b"\x02" + SIZE + b"".join(raw))
    assert read(tmp_path / "a.es") == [(5, 7, 0, 1), (6, 9, 239, 0)]


@pytest.mark.parametrize("more", [b"\x04", b"\xff\x05\x01\x00\x07"])
def test_an_event_that_is_cut_off_is_refused_by_its_byte(tmp_path: Path, more: bytes) -> None:
    size = es(tmp_path / "a.es", ROWS, more).stat().st_size
    left = len(more.lstrip(b"\xff"))
    with pytest.raises(DataError, match=f"a.es': byte {size - left}: {left} of the 5 bytes of an event: .* cut off"):
        read(tmp_path / "a.es")


def test_time_that_passes_behind_the_last_event_is_no_event(tmp_path: Path) -> None:
    assert read(es(tmp_path / "a.es", ROWS, b"\xff" * 9)) == ROWS


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (b"Event Scream" + bytes(8), DataError, "by its name it is es, and it does not begin as one does"),
        (HEADER + b"\x01" + SIZE[:3], DataError, "byte 19: the file ends within its header of 20 bytes"),
        (b"Event Stream\x01\x00\x00\x01" + SIZE, UnsupportedError, "byte 12: Event Stream 1, events of type 1"),
        (HEADER + b"\x04" + SIZE, UnsupportedError, "byte 12: Event Stream 2, events of type colour"),
        (HEADER + b"\x00" + SIZE, UnsupportedError, "byte 12: Event Stream 2, events of type generic"),
        (HEADER + b"\x01" + bytes(4), DataError, "byte 16: a sensor of 0x0"),
        (HEADER + b"\x01" + SIZE + b"\x02\x40\x01\x00\x00", DataError, "behind event 0: faery says: x overflow"),
    ],
)
def test_a_broken_file_is_refused_by_name(tmp_path: Path, content: bytes, error: type[Exception], said: str) -> None:
    (tmp_path / "a.es").write_bytes(content)
    with pytest.raises(error, match=f"a.es': {said}"):
        read(tmp_path / "a.es")
