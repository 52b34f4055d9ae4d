# SPDX-License-Identifier: Apache-2.0
"""Files as sources: found by name and content, read in chunks, refused by name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikerun as sr
from spikerun.errors import DataError, UsageError

RECORD = b"\1\0\0\0\0\0\0\0"


def recorded(folder: Path, times: list[int], name: str = "a.dat") -> Path:
    """Write a DAT file of events in the first row, of which each is in the column after the last."""
    path = folder / name
    raw = np.array([(t, k) for k, t in enumerate(times)], "<u4").tobytes()
    path.write_bytes(b"% Version 2\n% Height 2\n% Width 9\n\x0c\x08" + raw)
    return path


def test_a_file_yields_chunks_of_events_as_often_as_it_is_asked(tmp_path: Path) -> None:
    source = sr.sources.file(recorded(tmp_path, [1, 2, 2, 5, 9]), chunk=2)
    assert (source.shape, source.format, source.path.name, source.t_offset) == ((2, 2, 9), "dat", "a.dat", 0)
    for _ in range(2):
        assert [part["t"].tolist() for part in source] == [[1, 2], [2, 5], [9]]
        assert {part.dtype for part in source} == {sr.EVENT}


def test_chunks_may_be_kept(tmp_path: Path) -> None:
    parts = list(sr.sources.file(recorded(tmp_path, list(range(8))), chunk=3))
    assert np.concatenate(parts)["x"].tolist() == list(range(8))


def test_a_file_of_no_events_yields_nothing(tmp_path: Path) -> None:
    assert list(sr.sources.file(recorded(tmp_path, []))) == []


@pytest.mark.parametrize("name", ["a.bin", "a.csv", "a.dat", "a.h5", "a.npy", "a.raw"])
def test_a_file_of_no_bytes_is_refused_whatever_its_format(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=f"{name}' is empty"):
        sr.sources.file(tmp_path / name)


def test_the_caller_says_the_shape_where_the_file_is_wrong_about_it(tmp_path: Path) -> None:
    path = recorded(tmp_path, [0] * 9)
    assert sr.sources.file(path, shape=(2, 1, 10)).shape == (2, 1, 10)
    with pytest.raises(DataError, match=r"byte 75: the event \(t = 0, x = 5, y = 0, p = 0\) lies outside of the frame"):
        list(sr.sources.file(path, shape=(2, 1, 5)))


def test_times_that_run_backwards_are_refused_across_chunks(tmp_path: Path) -> None:
    path = recorded(tmp_path, [5, 6, 4])
    for chunk in (1, 2, 3):
        with pytest.raises(
            DataError, match=r"a.dat': byte 51: the event \(t = 4, .* lies before the last one, of 6 us"
        ):
            list(sr.sources.file(path, chunk=chunk))


def test_events_before_a_fault_are_yielded(tmp_path: Path) -> None:
    source = iter(sr.sources.file(recorded(tmp_path, [5, 6, 4]), chunk=2))
    assert next(source)["t"].tolist() == [5, 6]
    with pytest.raises(DataError):
        next(source)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"format": "data"}, "unknown format of event files 'data'. Did you mean 'dat'"),
        ({"chunk": 0}, "a chunk has 1 to 16777216 events, got 0"),
        ({"chunk": 2.5}, "a chunk has 1 to 16777216 events, got 2.5"),
        ({"shape": (2, 2)}, r"a shape \(C, H, W\) of positive integers, got \(2, 2\)"),
        ({"shape": (2, 0, 2)}, r"a shape \(C, H, W\) of positive integers"),
    ],
)
def test_wrong_use_is_refused(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        sr.sources.file(recorded(tmp_path, [1]), **options)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.dat' does not exist"):
        sr.sources.file(tmp_path / "none.dat")
    with pytest.raises(DataError, match="is no regular file"):
        sr.sources.file(tmp_path)


def test_a_file_of_no_known_name_and_content_is_refused_by_what_is_known(tmp_path: Path) -> None:
    path = recorded(tmp_path, [1], "a.xyz")
    with pytest.raises(
        DataError, match=r"a.xyz': by its name it is no event file, .* name its format, one of .*dat, .*n-mnist"
    ):
        sr.sources.file(path)
    assert len(list(sr.sources.file(path, "dat"))) == 1
