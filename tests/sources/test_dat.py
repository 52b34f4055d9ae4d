# SPDX-License-Identifier: Apache-2.0
"""DAT files, of our own writing: both layouts, clocks that go round, and headers that are broken."""

import time
from pathlib import Path

import numpy as np
import pytest

from spikerun import sources
from spikerun.errors import DataError, UnsupportedError

Row = tuple[int, int, int, int]
ROWS: list[Row] = [(7, 303, 239, 1), (8, 0, 0, 0), (8, 5, 120, 1)]  # t, x, y, p


def dat(path: Path, rows: list[Row], header: str = "% Version 2\n", wide: int = 14, kind: bytes = b"\x0c\x08") -> Path:
    """Write events as DAT has them; wide: the bits of x, after which those of y have as many, or one less of 9."""
    high = wide if wide == 14 else 8
    raw = np.array([(t % 2**32, x | y << wide | p << wide + high) for t, x, y, p in rows], "<u4").reshape(-1, 2)
    path.write_bytes(header.encode() + (kind if header else b"") + raw.tobytes())
    return path


def read(path: Path, chunk: int = 65_536) -> list[Row]:
    return [row for part in sources.file(path, "dat", chunk=chunk) for row in part.tolist()]


def test_an_event_has_14_bits_of_x_and_y(tmp_path: Path) -> None:
    assert read(dat(tmp_path / "a.dat", [(0, 2**14 - 1, 1280, 1)])) == [(0, 2**14 - 1, 1280, 1)]


@pytest.mark.parametrize("header", ["", "% Data file\n", "% Version 1\n% Date 2014\n"])
def test_older_versions_have_9_bits_of_x_and_8_of_y(tmp_path: Path, header: str) -> None:
    assert read(dat(tmp_path / "a.dat", ROWS, header, wide=9)) == ROWS


def test_the_header_says_the_shape(tmp_path: Path) -> None:
    path = dat(tmp_path / "a.dat", ROWS, "% Height 240\n% Version 2\n% Width 304\n", kind=b"\x00\x08")
    assert sources.file(path).shape == (2, 240, 304)
    assert sources.file(dat(tmp_path / "b.dat", ROWS)).shape is None


def test_the_first_byte_of_events_may_be_that_of_a_comment(tmp_path: Path) -> None:
    assert read(dat(tmp_path / "a.dat", [(0x0A25, 1, 2, 1)]))[0][0] == 0x0A25


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_a_clock_that_goes_round_does_not_run_backwards(tmp_path: Path, chunk: int) -> None:
    times = [2**31, 2**32 - 1, 2**32 + 5, 2**33 - 2**30, 2**33, 2**33 + 2**31 - 1]
    path = dat(tmp_path / "a.dat", [(t, 0, 0, 0) for t in times])
    assert [row[0] for row in read(path, chunk)] == times


def test_many_turns_of_a_clock_cost_time_by_their_number(tmp_path: Path) -> None:
    path = dat(tmp_path / "a.dat", [(k * (2**32 - 1), 0, 0, 0) for k in range(2)] * 25_000)
    begin = time.process_time()
    assert read(path)[-1][0] == 2**32 * 25_000 - 1
    assert time.process_time() - begin < 1


def test_a_small_step_back_is_no_clock_that_goes_round(tmp_path: Path) -> None:
    path = dat(tmp_path / "a.dat", [(2**31, 0, 0, 0), (2**31 - 3, 0, 0, 0)])
    with pytest.raises(DataError, match=r"byte 22: the event .t = 2147483645, .* lies before the last one"):
        read(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"% Version 2\n\x0c\x08" + bytes(19), "byte 30: 3 of the 8 bytes of an event: the file is cut off"),
        (b"% Version 2\n\x0c", "byte 12: the file ends behind its header, before the type of its events"),
        (b"% Version 3\n\x0c\x08", "the header says version '3' of DAT, and 0, 1 and 2 are known"),
        (b"% Version 2", "the header does not end before the end of the file, its line of byte 0 goes on"),
        (b"%" + b"a" * 70_000 + b"\n", "the header does not end within 65536 bytes, its line of byte 0 goes on"),
        (b"% a\n" * 20_000, "the header does not end within 65536 bytes, its line of byte 65536 goes on"),
        (b"% Height 0\n% Width 10\n\x0c\x08", "the header says height '0' and width '10'"),
        (b"% Height 9999999999\n% Width 10\n\x0c\x08", "the header says height '9999999999' and width '10'"),
        (b"% Height 2\n% Width 3\n% Version 2\n\x0c\x08\1\0\0\0\3\0\0\0", r"byte 35: the event \(t = 1, x = 3"),
    ],
)  # fmt: skip
def test_a_broken_file_is_refused_by_its_byte(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"a.dat': {said}"):
        list(sources.file(path))


def test_events_that_are_no_changes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="byte 12: events of type 14 with 8 bytes; those of types 0 and 12"):
        read(dat(tmp_path / "a.dat", ROWS, kind=b"\x0e\x08"))


def test_a_size_that_no_disk_has_costs_nothing(tmp_path: Path) -> None:
    path = dat(tmp_path / "a.dat", ROWS)
    with path.open("r+b") as file:
        file.truncate(14 + 2**40)  # a hole
    assert next(iter(sources.file(path, chunk=3))).tolist() == ROWS
