# SPDX-License-Identifier: Apache-2.0
"""Events through standard input: in pieces as pipes give them, checked, an error naming the byte."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikerun import EVENT
from spikerun.errors import DataError, UsageError
from spikerun.sources import stdin

Chunk = np.ndarray[Any, Any]


class Pipe(io.BytesIO):
    """Gives what was written piece by piece, however much is asked for."""

    def __init__(self, content: bytes, sizes: list[int]) -> None:
        super().__init__(content)
        self.sizes = sizes

    def read1(self, size: int | None = -1, /) -> bytes:
        return super().read1(self.sizes.pop() if self.sizes else 7)


def recording(n: int) -> Chunk:
    events = np.zeros(n, EVENT)
    events["t"] = np.arange(n) * 300
    events["x"], events["y"], events["p"] = np.arange(n) % 34, np.arange(n) % 33, np.arange(n) % 2
    return events


def content(events: Chunk, format: str) -> bytes:
    if format == "records":
        return events.tobytes()
    return "".join(f"{t},{x},{y},{p}\n" for t, x, y, p in events[["t", "x", "y", "p"]].tolist()).encode()


def read(content: bytes, format: str, sizes: list[int] | None = None) -> list[tuple[int, ...]]:
    found = list(stdin(format, shape=(2, 34, 34), file=Pipe(content, sizes or [])))
    assert all(chunk.dtype == EVENT and len(chunk) for chunk in found)
    return [tuple(event) for chunk in found for event in chunk[["t", "x", "y", "p"]].tolist()]


@pytest.mark.parametrize("format", ["records", "csv"])
@given(st.integers(0, 40), st.lists(st.integers(1, 200), max_size=5))
def test_events_come_whole_however_the_pipe_cuts_them(format: str, n: int, sizes: list[int]) -> None:
    events = recording(n)
    assert read(content(events, format), format, sizes) == events[["t", "x", "y", "p"]].tolist()


def test_lines_may_be_named_spaced_and_lack_the_last_end() -> None:
    assert read(b"t, x, y, p\n1,2,3,0\r\n\n5, 6, 7, 1", "csv") == [(1, 2, 3, 0), (5, 6, 7, 1)]


@pytest.mark.parametrize("names", [b"t,x,y,p\n", b""])
def test_a_mark_of_utf_8_is_passed_over(names: bytes) -> None:
    assert read(b"\xef\xbb\xbf" + names + b"1,2,3,0\n", "csv") == [(1, 2, 3, 0)]


@pytest.mark.parametrize(
    ("text", "format", "said"),
    [
        (b"\0" * 20, "records", "ends in the middle of an event, 4 bytes after byte 16"),
        (b"1,2,3,0\n1,2,3\n", "csv", "b'1,2,3' is no line t,x,y,p of integers"),
        (b"1,2,3,0,1,2,3,0\n", "csv", "is no line t,x,y,p"),
        (b"1.5,2,3,0\n", "csv", "b'1.5,2,3,0' is no line"),
        (b"99999999999999999999,2,3,0\n", "csv", "is no line"),
        (b"1,2,3,0\n1_0,2,3,0\n", "csv", "b'1_0,2,3,0' is no line"),
        (b"1,2,3,0\n" + b"1" * 5000 + b",2,3,0\n", "csv", "b'1111"),
        (b"1,34,3,0\n", "csv", "the lines from byte 0 on: event 0"),
        (b"1" * 5000, "csv", "more than 4096 bytes without a line's end, from byte 0 on"),
    ],
)
def test_what_is_no_event_is_named(text: bytes, format: str, said: str) -> None:
    with pytest.raises(DataError) as found:
        list(stdin(format, shape=(2, 34, 34), file=io.BytesIO(text)))
    assert said in str(found.value)


def test_an_event_outside_of_the_frame_is_named_with_its_byte() -> None:
    events = recording(3)
    events["x"][2] = 34
    with pytest.raises(DataError, match="the records from byte 0 on: event 2 "):
        list(stdin(shape=(2, 34, 34), file=io.BytesIO(events.tobytes())))


def test_a_file_of_text_is_refused() -> None:
    with pytest.raises(UsageError, match="events come as bytes"):
        list(stdin(file=io.StringIO("0,1,2,1")))  # type: ignore[arg-type]


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(UsageError, match=r"unknown format of standard input 'xml'\. Known: csv, records"):
        stdin("xml")
