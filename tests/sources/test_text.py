# SPDX-License-Identifier: Apache-2.0
"""Text with a line for each event: what stands between numbers, which column is which, and lines that are wrong."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikerun import sources
from spikerun.errors import DataError
from spikerun.sources import text

Row = tuple[int, int, int, int]  # t, x, y, p
ROWS: list[Row] = [(0, 5, 6, 1), (7, 65535, 719, 0), (7, 0, 0, 1)]


def read(folder: Path, content: str | bytes, chunk: int = 65_536) -> list[Row]:
    path = folder / "a.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return [row for part in sources.file(path, chunk=chunk) for row in part.tolist()]


@pytest.mark.parametrize("comma", [",", ";", "\t", " "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_numbers_may_be_parted_in_these_ways(tmp_path: Path, comma: str, end: str, last: bool) -> None:
    lines = end.join(comma.join(map(str, row)) for row in ROWS)
    assert read(tmp_path, lines + end * last) == ROWS


@pytest.mark.parametrize(
    "content",
    [
        "t,x,y,p\n0,5,6,1\n7,65535,719,0\n7,0,0,1\n",
        "x,y,polarity,timestamp\n5,6,1,0\n65535,719,-1,7\n0,0,1,7\n",
        '"ts","x","y","other","ON"\n0,5,6,9,1\n7,65535,719,9,0\n7,0,0,9,1\n',
        "# camera: 5\n\nt x y p\n# more\n0 5 6 1\n\n7   65535 719 0\n7 0 0 1",
        "0, 5, 6, 1\n7, 65535, 719, 0\n7, 0, 0, 1\n",
    ],
)
def test_names_say_which_column_is_which(tmp_path: Path, content: str) -> None:
    assert read(tmp_path, content) == ROWS


@pytest.mark.parametrize("names", ["", "t,x,y,p\n", "# a camera\n"])
def test_a_mark_of_utf_8_is_passed_over(tmp_path: Path, names: str) -> None:
    assert read(tmp_path, f"\ufeff{names}0,5,6,1\n") == [(0, 5, 6, 1)]
    with pytest.raises(DataError, match=f"byte {len(names) + 3}: 'a' is no integer"):
        read(tmp_path, f"\ufeff{names}a,5,6,1\n")


def test_names_say_the_size_of_the_frame(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t,x@1280,y@720,on\n1,2,3,1\n")
    source = sources.file(tmp_path / "a.csv")
    assert (source.shape, next(iter(source)).tolist()) == ((2, 720, 1280), [(1, 2, 3, 1)])


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 2**50), *[st.integers(0, 65_535)] * 2, st.integers(0, 1)), max_size=40).map(
        sorted
    ),
    st.integers(1, 50),
    st.integers(30, 200),
)
def test_events_come_back_whatever_is_read_at_a_time(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], chunk: int, block: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "BLOCK", block)
        content = "t,x,y,p\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
        assert read(tmp_path_factory.mktemp("text"), content, chunk) == rows


NUMBERS = st.sampled_from([b"7", b"12", b"-1", b"+5", b" 3", b"0" * 40, b"9" * 19])


@settings(max_examples=200)
@given(
    st.lists(st.tuples(*[NUMBERS] * 4), min_size=1, max_size=3),
    st.sampled_from([b",", b";", b"\t", b" "]),
    st.sampled_from([b"\n", b"\r\n"]),
    st.lists(st.tuples(st.integers(0, 100), st.sampled_from(list(b"0123456789+-,; \t\r\n.e#"))), max_size=2),
)
def test_numbers_are_read_together_as_they_are_one_by_one(
    rows: list[tuple[bytes, ...]], comma: bytes, end: bytes, changes: list[tuple[int, int]]
) -> None:
    lines = bytearray(b"".join(comma.join(row) + end for row in rows))
    for place, mark in changes:
        lines[place % len(lines)] = mark
    form = text.Form(0, comma, 4, {})
    together = text._fast(form, bytes(lines))
    if together is not None:
        assert together.tolist() == text._one_by_one(Path("a.csv"), form, bytes(lines), 0).tolist()


@pytest.mark.parametrize("lines", ["1,2,3,1\n", "1,2,3,1\r\n", "1, 2, 3, 1\n", "1,2,3,-1\n+7,2,3,+1\n"])
def test_lines_are_read_as_fast_as_numpy_reads_numbers_not_one_by_one(lines: str) -> None:
    comma = text.Form(0, b",", 4, {})
    found = text._fast(comma, lines.encode() * 1000)
    assert found is not None
    assert found.tolist() == text._one_by_one(Path("a.csv"), comma, lines.encode(), 0).tolist() * 1000


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("20,-,2,1", "'-' is"),
        ("20,+,2,1", "'\\+' is"),
        ("-,1,2,1", "'-' is"),
        ("20;-;2;1", "'-' is"),
        ("20,1\r2,3,1", r"'1\\r2' is"),
        ("20,1 2,3,1", "'1 2' is"),
        ("20\t\t2 3\t1", "'' is"),
        ("20\t5\t\t3 1", "'' is"),
    ],
)
def test_what_is_no_number_is_not_read_as_another(tmp_path: Path, line: str, said: str) -> None:
    good = line[2] if line[0] == "2" else ","
    first = good.join("1111") + "\n"
    with pytest.raises(DataError, match=f"byte {len(first)}: {said} no integer"):
        read(tmp_path, f"{first}{line}\n{first}")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("\n", "no line of events within"),
        ("1,2,3,1\n2,2,1_0,1\n", "byte 8: '1_0' is no integer$"),
        ("1,2,3,1\n" + "1" * 5000 + ",2,a,1\n", "byte 8: a number of 5000 digits is no time$"),
        ("# nothing\n", "no line of events within"),
        ("t,x,y\n1,2,3\n", "byte 0: a line of names without p or polarity or on or pol: t, x, y"),
        ("1,2,3\n", "byte 0: 3 values in a line, and events have t, x, y and p"),
        ("1,2,3,1\n2,2,3\n", "byte 8: 3 values in a line, and 4 in the first"),
        ("1,2,3,1\n2,2,3\n4,2,3,1,5\n", "byte 8: 3 values in a line, and 4 in the first"),
        ("1,2,3,1\n2,2,a,1\n", "byte 8: 'a' is no integer$"),
        ("1,2,3,1\n2,2,,1\n", "byte 8: '' is no integer$"),
        (
            "0.003,2,3,1\n",
            r"byte 0: '0.003' is no integer: times are integers of microseconds: multiply seconds by 1e6",
        ),
        ("1,2,3,1\n\n2,65536,3,1\n", "byte 9: the event lies outside of any sensor"),
        ("1,2,3,1\n2,2,3,2\n", "byte 8: the event lies outside of any sensor: polarities are channels, 0 or 1"),
        ("-1,2,3,1\n", r"byte 0: the event lies before 0 us"),
        (f"{2**53},2,3,1\n", r"byte 0: the event lies at 2\^53 us or later"),
        (f"{2**80},2,3,1\n", r"byte 0: the event lies at 2\^53 us or later"),
        ("1,2,3,1\n5,2,3,1\n4,2,3,1\n", r"byte 16: the event \(t = 4, .* lies before the last one, of 5 us"),
        ("1,2,3,1\n" + "1" * 200_000, "byte 8: a line of more than 65536 bytes"),
    ],
)
def test_a_line_that_is_wrong_is_refused_by_its_byte(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(DataError, match=rf"a.csv': {said}"):
        read(tmp_path, content)


def test_steps_back_are_found_between_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "BLOCK", 16)
    with pytest.raises(DataError, match=r"byte 16: the event .* before the last one, of 5 us"):
        read(tmp_path, "1,2,3,1\n5,2,3,1\n4,2,3,1\n")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a.csv': "):
        read(tmp_path, np.random.default_rng(0).bytes(1000))
