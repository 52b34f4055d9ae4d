# SPDX-License-Identifier: Apache-2.0
"""RAW files of EVT 2.0 and 3.0, of our own writing; other readers are asked what is in them."""

import time
from contextlib import suppress
from pathlib import Path

import evt3
import faery
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikerun import sources
from spikerun.errors import DataError
from spikerun.sources.evt_header import unrolled

Row = tuple[int, int, int, int]  # t, x, y, p
SIZE = "% geometry 1280x720\n"
EVT2, EVT3 = "% evt 2.0\n" + SIZE, "% evt 3.0\n" + SIZE
ROWS: list[Row] = [(70, 5, 6, 1), (70, 1279, 719, 0), (300, 0, 0, 1)]

events = st.lists(
    st.tuples(st.integers(0, 2**20), st.integers(0, 1279), st.integers(0, 719), st.integers(0, 1)), max_size=30
).map(sorted)


def evt2(path: Path, words: list[int], header: str = EVT2, more: bytes = b"") -> Path:
    path.write_bytes(header.encode() + np.array(words, "<u4").tobytes() + more)
    return path


def high(t: int) -> int:
    """Return the word of EVT 2.0 that says the high bits of t."""
    return 8 << 28 | t >> 6 & 2**28 - 1


def words2(rows: list[Row]) -> list[int]:
    """Return events as words of EVT 2.0, each behind its time, and what is to be passed over."""
    found = [0xE << 28 | 5]
    for t, x, y, p in rows:
        found += [high(t), 0xA << 28, p << 28 | (t & 63) << 22 | x << 11 | y]
    return found


def words3(rows: list[Row]) -> list[int]:
    """Return events as words of EVT 3.0, each behind its time and its row."""
    found = []
    for t, x, y, p in rows:
        found += [8 << 12 | t >> 12 & 4095, 6 << 12 | t & 4095, y, 2 << 12 | p << 11 | x]
    return found


def evt3_file(path: Path, words: list[int], header: str = EVT3, more: bytes = b"") -> Path:
    path.write_bytes(header.encode() + np.array(words, "<u2").tobytes() + more)
    return path


def in_order(words: list[int]) -> list[int]:
    """Return words of EVT 3.0 behind a time, which does not step back; their vectors stay within the columns."""
    found, high, low, end = [8 << 12, 3 << 12], 0, 0, 0
    for word in words:
        kind, value = word >> 12, word & 4095
        if kind == 8:
            value = min(4000, high + value % 3)
            word = 8 << 12 | value
            if value == high:  # where others set the low bits to 0, too
                continue
            high, low = value, 0
        elif kind == 6:
            low = max(low, value)
            word = 6 << 12 | low
        elif kind in (3, 4, 5):
            end = (value & 2047) + 12 if kind == 3 else end + 12
        if end < 2048 or kind not in (4, 5):
            found.append(word)
    return found


def others(path: Path) -> list[Row]:
    """Return what the package evt3 reads."""
    found = evt3.decode_file(str(path))
    return list(zip(*(values.tolist() for values in (found.t, found.x, found.y, found.p)), strict=True))


def read(path: Path, chunk: int = 65_536) -> list[Row]:
    return [row for part in sources.file(path, chunk=chunk) for row in part.tolist()]


@settings(max_examples=12)
@given(events, st.integers(1, 40))
def test_evt2_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], chunk: int
) -> None:
    path = evt2(tmp_path_factory.mktemp("evt") / "a.raw", words2(rows))
    assert read(path, chunk) == rows
    assert faery.events_stream_from_file(path).to_array().tolist() == rows


@settings(max_examples=12)
@given(st.lists(st.integers(0, 2**33 - 64), max_size=8), st.integers(1, 4))
def test_the_clock_of_evt2_goes_round(tmp_path_factory: pytest.TempPathFactory, gaps: list[int], chunk: int) -> None:
    times = np.cumsum(gaps).tolist()
    path = evt2(tmp_path_factory.mktemp("evt") / "a.raw", words2([(t, 0, 0, 0) for t in times]))
    assert [row[0] for row in read(path, chunk)] == times


def test_a_small_step_back_of_evt2_is_no_clock_that_goes_round(tmp_path: Path) -> None:
    path = evt2(tmp_path / "a.raw", words2([(640, 0, 0, 0), (639, 5, 0, 0)]))
    at = len(EVT2) + 4 * 6
    with pytest.raises(
        DataError, match=rf"a.raw': byte {at}: the event \(t = 639, x = 5, .* before the last one, of 640"
    ):
        read(path)


def test_events_of_evt2_before_the_first_time_are_left_out(tmp_path: Path) -> None:
    path = evt2(tmp_path / "a.raw", words2([(9000, 1, 1, 1)])[3:] + words2(ROWS))
    for chunk in (1, 2, 100):
        assert read(path, chunk) == ROWS


@settings(max_examples=12)
@given(events, st.integers(1, 40))
def test_evt3_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], chunk: int
) -> None:
    path = evt3_file(tmp_path_factory.mktemp("evt") / "a.raw", words3(rows))
    assert (read(path, chunk), others(path)) == (rows, rows)


said = st.one_of(
    st.sampled_from([0, 2, 4, 5, 3, 4, 6, 8, 10, 14, 15]).flatmap(lambda k: st.integers(k << 12, (k << 12) + 4095)),
    st.integers(0, 30).map(lambda low: 6 << 12 | low),
)


@settings(max_examples=25)
@given(st.lists(said, max_size=60).map(in_order), st.integers(1, 40))
def test_evt3_is_read_as_another_reader_reads_it(
    tmp_path_factory: pytest.TempPathFactory, words: list[int], chunk: int
) -> None:
    path = evt3_file(tmp_path_factory.mktemp("evt") / "a.raw", words, "% evt 3.0\n")
    assert read(path, chunk) == others(path)


def test_vectors_of_evt3_are_events_of_a_row(tmp_path: Path) -> None:
    vectors = [3 << 12 | 1 << 11 | 100, 4 << 12 | 0b100000000011, 5 << 12 | 0b10000001]
    path = evt3_file(tmp_path / "a.raw", [8 << 12, 6 << 12 | 7, 20, *vectors])
    assert read(path) == [(7, x, 20, 1) for x in (100, 101, 111, 112, 119)]
    assert evt3.decode_file(str(path)).x.tolist() == [100, 101, 111, 112, 119]


def test_no_chunk_is_larger_where_vectors_say_many(tmp_path: Path) -> None:
    words = [8 << 12, *[3 << 12, *[4 << 12 | 4095] * 100] * 20]
    path = evt3_file(tmp_path / "a.raw", words, "% evt 3.0\n")
    sizes = [len(part) for part in sources.file(path, chunk=1000)]
    assert (sum(sizes), max(sizes) <= 1000) == (24_000, True)
    assert read(path, 1000) == others(path)


def test_vectors_beyond_all_columns_are_refused(tmp_path: Path) -> None:
    words = [8 << 12, 6 << 12, 3 << 12 | 2040, 4 << 12 | 1, 4 << 12, 4 << 12 | 8, *[4 << 12 | 1] * 9000]
    path = evt3_file(tmp_path / "a.raw", words, "% evt 3.0\n")
    with pytest.raises(DataError, match="byte 20: a vector goes on beyond 2048 columns"):
        read(path)


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_the_clock_of_evt3_goes_round(tmp_path: Path, chunk: int) -> None:
    times = [5, 2**24 - 1, 2**24 + 3, 2**25 - 2, 2**25 + 4096]
    path = evt3_file(tmp_path / "a.raw", words3([(t, 0, 0, 0) for t in times]))
    assert [row[0] for row in read(path, chunk)] == times


def test_a_time_ahead_without_changes_is_no_time_of_those_that_follow(tmp_path: Path) -> None:
    first, ahead, second = words3([(799, 1, 1, 1)]), [8 << 12, 6 << 12 | 811], words3([(800, 2, 1, 1)])[1:]
    path = evt3_file(tmp_path / "a.raw", first + ahead + second)
    assert [row[0] for row in read(path)] == [799, 800]
    assert faery.events_stream_from_file(path).to_array()["t"].tolist() == [799, 811]  # why it is not asked


def test_the_same_high_bits_once_more_change_no_time(tmp_path: Path) -> None:
    path = evt3_file(tmp_path / "a.raw", [*words3([(799, 1, 1, 1)]), 8 << 12, 2 << 12 | 7])
    assert [row[0] for row in read(path)] == [799, 799]


def test_events_of_evt3_before_the_first_high_bits_are_left_out(tmp_path: Path) -> None:
    path = evt3_file(tmp_path / "a.raw", [6 << 12 | 9, 20, 2 << 12 | 5, 4 << 12 | 3, *words3(ROWS)])
    for chunk in (1, 3, 100):
        assert read(path, chunk) == ROWS


def test_large_steps_back_of_evt3_are_refused(tmp_path: Path) -> None:
    path = evt3_file(tmp_path / "a.raw", words3([(9000, 1, 1, 1), (8000, 2, 1, 1)]))
    with pytest.raises(
        DataError, match=rf"byte {len(EVT3) + 14}: the event \(t = 8000, .* before the last one, of 9000"
    ):
        read(path)


def test_small_steps_back_of_evt3_take_the_time_before_them(tmp_path: Path) -> None:
    path = evt3_file(tmp_path / "a.raw", words3([(50, 1, 1, 1), (47, 2, 1, 1), (51, 3, 1, 1)]))
    assert [row[0] for row in read(path)] == [50, 50, 51]
    assert [row[0] for row in others(path)] == [50, 47, 51]


@pytest.mark.parametrize(
    ("header", "format", "shape"),
    [
        ("% evt 2.0\n", "evt2", None),
        ("% Date 2020\n% evt 3.0\n% geometry 640x480\n% end\n", "evt3", (2, 480, 640)),
        ("% format EVT2;height=720;width=1280\n% end\n", "evt2", (2, 720, 1280)),
        ("% format EVT3;width=1280;height=720\n", "evt3", (2, 720, 1280)),
    ],
)
def test_the_header_says_the_version_and_the_shape(
    tmp_path: Path, header: str, format: str, shape: tuple[int, int, int] | None
) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(header.encode())
    source = sources.file(path)
    assert (source.format, source.shape, list(source)) == (format, shape, [])


@pytest.mark.parametrize("words", ["height=1 ", "height=1;", "width=1;", "evt ", "9x", "% "])
def test_a_header_costs_time_by_its_length(tmp_path: Path, words: str) -> None:
    header = "".join(f"% {key} {words * (20_000 // len(words))}\n" for key in ("format EVT3;", "geometry"))
    path = evt3_file(tmp_path / "a.raw", [], "% evt 3.0\n" + header)
    begin = time.process_time()
    with suppress(DataError):
        sources.file(path)
    assert time.process_time() - begin < 0.5


def test_many_turns_of_a_clock_cost_time_by_their_number() -> None:
    said = np.tile([0, 4095], 50_000)
    begin = time.process_time()
    found = unrolled(said, -1, 4096)
    assert (found[-1], time.process_time() - begin < 0.5) == (4096 * 50_000 - 1, True)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("% evt 2.1\n", "the header says EVT 2.1, and is read as EVT 2.0"),
        ("% format EVT21;height=720;width=1280\n", "the header says EVT 21, and is read as EVT 2.0"),
        ("% evt 4.0\n", "by its name it is evt2, evt3, and it does not begin as one does; name its format"),
        ("%\n", "by its name it is evt2, evt3, and it does not begin as one does; name its format"),
        ("% evt 3.0\n% geometry 4096x720\n", "the header says a sensor of 4096x720, and events have 11 bits"),
        ("% evt 3.0\n% geometry 9x9\n% format EVT3;height=8;width=9\n", "the header says a sensor of 9x8 and 9x9"),
        ("% evt 3.0\n% geometry axb\n", "the header says a sensor of axb, and events have 11 bits"),
        ("% evt 3.0\n% geometry 9x" + "9" * 5000 + "\n", "the header says a sensor of 9x99999999999999999999, and"),
        ("% evt 3.0\n% format EVT3;height=" + "9" * 5000 + ";width=1\n", "the header says a sensor of 1x9999999999"),
        ("% evt 3.0\n%" + "a" * 70_000, "the header does not end within 65536 bytes"),
    ],
)
def test_a_header_that_is_wrong_is_refused(tmp_path: Path, header: str, said: str) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(header.encode())
    with pytest.raises(DataError, match=f"a.raw': {said}"):
        sources.file(path)


def test_words_that_are_cut_off_are_refused_by_their_byte(tmp_path: Path) -> None:
    path = evt2(tmp_path / "2.raw", words2(ROWS), more=b"\0\1\2")
    with pytest.raises(
        DataError, match=f"byte {path.stat().st_size - 3}: 3 of the 4 bytes of an event: the file is cut"
    ):
        sources.file(path)
    path = evt3_file(tmp_path / "3.raw", words3(ROWS), more=b"\0")
    with pytest.raises(
        DataError, match=f"byte {path.stat().st_size - 1}: 1 of the 2 bytes of an event: the file is cut"
    ):
        sources.file(path)


def test_events_outside_of_the_sensor_are_refused(tmp_path: Path) -> None:
    path = evt2(tmp_path / "2.raw", words2([*ROWS, (300, 1280, 0, 1)]))
    with pytest.raises(DataError, match=rf"byte {len(EVT2) + 4 * 12}: the event .* x = 1280, .* outside of the frame"):
        read(path)
    path = evt3_file(tmp_path / "3.raw", words3([*ROWS, (300, 1280, 0, 1)]))
    with pytest.raises(DataError, match=rf"byte {len(EVT3) + 2 * 15}: the event .* x = 1280, .* outside of the frame"):
        read(path)
