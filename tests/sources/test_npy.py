# SPDX-License-Identifier: Apache-2.0
"""Arrays of events that NumPy saved, and that were written while they came."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikerun import EVENT, sources
from spikerun.errors import DataError

Chunk = np.ndarray[Any, Any]
NAMES = ["t", "x", "y", "p"]


def recording(n: int, dtype: Any = EVENT) -> Chunk:
    events = np.zeros(n, dtype)
    t, x, y, p = np.dtype(dtype).names or NAMES
    events[t], events[x], events[y], events[p] = (
        np.arange(n) * 7,
        np.arange(n) % 30,
        np.arange(n) % 20,
        np.arange(n) % 2,
    )
    return events


def read(path: Path, chunk: int = 65_536) -> list[tuple[int, ...]]:
    return [row for part in sources.file(path, chunk=chunk) for row in part[NAMES].tolist()]


@pytest.mark.parametrize(
    "dtype",
    [
        EVENT,
        [("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "?")],
        [("timestamp", ">i4"), ("x", "i2"), ("y", "i2"), ("polarity", "i1")],
    ],
)
@pytest.mark.parametrize("chunk", [1, 7, 65_536])
def test_an_array_that_numpy_saved_is_read_in_chunks(tmp_path: Path, dtype: Any, chunk: int) -> None:
    np.save(tmp_path / "a.npy", recording(20, dtype))
    assert read(tmp_path / "a.npy", chunk) == recording(20)[NAMES].tolist()


@pytest.mark.parametrize("n", [0, 1, 1000])
def test_what_is_written_in_parts_is_what_numpy_loads(tmp_path: Path, n: int) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        sink = sources.NpySink(file)
        for part in np.array_split(recording(n), 3):
            sink.write(part)
        sink.close()
    found = np.load(tmp_path / "a.npy")
    assert (found.dtype, found.tolist()) == (EVENT, recording(n).tolist())
    assert read(tmp_path / "a.npy") == recording(n)[NAMES].tolist()


def saved(path: Path, array: Any) -> bytes:
    np.save(path, array, allow_pickle=True)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((2, 2), EVENT), "events are a structured array"),
        (np.array([{"t": 1}], object), "events are a structured array"),  # which is a pickle, and is not opened
        (np.zeros(3), "structured array"),
        (np.zeros(3, [("t", "i8"), ("x", "i8"), ("y", "i8")]), "lack the field p"),
    ],
)
def test_an_array_of_anything_else_is_refused(tmp_path: Path, array: Any, said: str) -> None:
    saved(tmp_path / "a.npy", array)
    with pytest.raises(DataError, match=said):
        sources.file(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content[:-1], "20 events of 16 bytes, and 319 bytes follow: the file is cut off"),
        (lambda content: content[:-16], "20 events of 16 bytes, and 304 bytes follow: the file is cut off"),
        (
            lambda content: content + b"a",
            "20 events of 16 bytes, and 321 bytes follow: the file is longer than it says",
        ),
        (lambda content: content[:60], "no header of a .npy file"),
        (lambda content: content.replace(b"\x01\x00", b"\x09\x00", 1), "no header of a .npy file"),
        (lambda content: content.replace(b"(20,)", b"(2.5)"), "no header of a .npy file"),
        (lambda content: content.replace(b"(20,)", b"(10**9**9,)"[:5]), "no header of a .npy file"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, change: Any, said: str) -> None:
    content = saved(tmp_path / "a.npy", recording(20))
    (tmp_path / "a.npy").write_bytes(change(content))
    with pytest.raises(DataError) as found:
        sources.file(tmp_path / "a.npy", "npy")
    assert said in str(found.value)


def test_an_event_that_is_wrong_is_named_with_its_byte(tmp_path: Path) -> None:
    events = recording(20)
    events["t"][9] = 0
    content = saved(tmp_path / "a.npy", events)
    with pytest.raises(DataError, match=f"byte {len(content) - 11 * 16}: the event "):
        read(tmp_path / "a.npy")
