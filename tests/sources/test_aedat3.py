# SPDX-License-Identifier: Apache-2.0
"""AEDAT 3.1 files of our own writing, whole and broken."""

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikerun import sources
from spikerun.errors import DataError

Row = tuple[int, int, int, int]
HEADER = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#Start-Time: 2016-01-01 00:00:00\r\n#!END-HEADER\r\n"
ROWS: list[Row] = [(7, 127, 0, 1), (8, 0, 127, 0), (8, 5, 120, 1)]  # t, x, y, p


def polarity(t: int, x: int, y: int, p: int, valid: int = 1) -> bytes:
    return struct.pack("<Ii", x << 17 | y << 2 | p << 1 | valid, t)


def packet(events: list[bytes], kind: int = 1, overflow: int = 0, room: int = 0, size: int = 8) -> bytes:
    """Return events with the head of a packet; room: for so many more than there are."""
    count = len(events)
    head = struct.pack("<hhiiiiii", kind, 1, size, 4, overflow, count + room, count, count)
    return head + b"".join(events) + bytes(max(size * room, 0))


def aedat3(path: Path, *packets: bytes, header: bytes = HEADER) -> Path:
    path.write_bytes(header + b"".join(packets))
    return path


def read(path: Path, chunk: int = 65_536) -> list[Row]:
    return [row for part in sources.file(path, chunk=chunk) for row in part.tolist()]


def test_events_of_all_packets_are_read_in_the_order_of_the_file(tmp_path: Path) -> None:
    first, last = packet([polarity(*row) for row in ROWS[:2]]), packet([polarity(*ROWS[2])])
    found = sources.file(aedat3(tmp_path / "a.aedat", first, last))
    assert (found.format, found.shape, read(tmp_path / "a.aedat")) == ("aedat3", None, ROWS)


def test_packets_of_other_types_room_and_events_that_are_not_valid_are_skipped(tmp_path: Path) -> None:
    special = packet([bytes(12)], kind=0, size=12)
    events = [polarity(3, 9, 9, 1, valid=0), *(polarity(*row) for row in ROWS)]
    assert read(aedat3(tmp_path / "a.aedat", special, packet(events, room=3), special), chunk=2) == ROWS


def test_the_high_part_of_times_is_that_of_the_packet(tmp_path: Path) -> None:
    path = aedat3(
        tmp_path / "a.aedat", packet([polarity(2**31 - 1, 1, 2, 0)]), packet([polarity(0, 1, 2, 0)], overflow=1)
    )
    assert [t for t, *_ in read(path)] == [2**31 - 1, 2**31]


@settings(max_examples=25)
@given(st.lists(st.tuples(*(st.integers(0, most) for most in (2**31 - 1, 2**15 - 1, 2**15 - 1, 1)))), st.integers(1, 5))
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[Row], chunk: int) -> None:
    path = tmp_path_factory.mktemp("aedat") / "a.aedat"
    assert read(aedat3(path, packet([polarity(*row) for row in sorted(rows)])), chunk) == sorted(rows)


def test_an_event_out_of_order_is_named_by_its_byte(tmp_path: Path) -> None:
    path = aedat3(tmp_path / "a.aedat", packet([polarity(9, 1, 1, 1), polarity(9, 1, 1, 1, 0), polarity(8, 1, 1, 1)]))
    with pytest.raises(
        DataError, match=rf"a.aedat': byte {len(HEADER) + 28 + 16}: the event \(t = 8, .* before the last"
    ):
        read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"#!AER-DAT3.0\r\n", "byte 0: begins with b'#!AER-DAT3.0"),
        (HEADER[:-3], r"no line b'#!END-HEADER\\r\\n' within"),
        (HEADER + packet([])[:20], f"byte {len(HEADER)}: 20 of the 28 bytes of a packet"),
        (HEADER + packet([polarity(*ROWS[0])])[:-1], f"byte {len(HEADER)}: a packet claims 1 events of 8 bytes, and 7"),
        (HEADER + packet([bytes(9)], size=9), "polarity events of 9 bytes, they have 8"),
        (HEADER + packet([], size=-1), "no packet of AEDAT 3.1 has event_size -1"),
        (HEADER + packet([], room=-1, size=8), "capacity -1, number 0"),
        (HEADER + packet([], overflow=-1), "overflow -1"),
        (HEADER + struct.pack("<hhiiiiii", 0, 1, 2**24, 4, 0, 2**31 - 1, 0, 0), "claims 2147483647 events"),
    ],
)
def test_a_broken_file_is_refused_by_its_byte(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.aedat").write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(sources.file(tmp_path / "a.aedat", "aedat3"))
