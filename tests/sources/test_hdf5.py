# SPDX-License-Identifier: Apache-2.0
"""HDF5 files of events, of our own writing: DSEC's arrays, Prophesee's table, and files that are broken."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np
import pytest

from spikerun import sources
from spikerun.errors import DataError, UnsupportedError
from spikerun.sources import hdf5

ROWS = [(0, 5, 6, 1), (7, 639, 479, 0), (7, 0, 0, 1)]  # t, x, y, p
DTYPES = {"t": "u4", "x": "u2", "y": "u2", "p": "u1"}
METAVISION = np.dtype({"names": ["x", "y", "p", "t"], "formats": ["<u2", "<u2", "<i2", "<i8"], "offsets": [0, 2, 4, 8]})


def arrays(**others: Any) -> dict[str, Any]:
    """Return the arrays of ROWS as DSEC has them, or others under their names; None: not that one."""
    found = {f: np.array([row[k] for row in ROWS], dtype) for k, (f, dtype) in enumerate(DTYPES.items())}
    return {field: value for field, value in {**found, **others}.items() if value is not None}


def dsec(path: Path, values: Mapping[str, Any], offset: Any = 54_000_000_000, **how: Any) -> Path:
    with h5py.File(path, "w") as file:
        for field, value in values.items():
            file.create_dataset(f"events/{field}", data=value, **how)
        file["ms_to_idx"] = np.zeros(1, "u8")
        file["t_offset"] = offset
    return path


def table(path: Path, rows: Any, **attributes: Any) -> Path:
    with h5py.File(path, "w") as file:
        file["CD/events"] = rows
        file.attrs.update(attributes)
    return path


def read(path: Path, chunk: int = 65_536) -> Any:
    return [row for part in sources.file(path, chunk=chunk) for row in part.tolist()]


@pytest.mark.parametrize("how", [{}, {"chunks": (2,)}, {"chunks": (2,), "compression": "gzip", "shuffle": True}])
@pytest.mark.parametrize("chunk", [1, 2, 10])
def test_arrays_of_dsec_are_events(tmp_path: Path, how: Any, chunk: int) -> None:
    path = dsec(tmp_path / "events.h5", arrays(), **how)
    assert read(path, chunk) == ROWS


def test_a_file_of_dsec_says_its_shape_and_its_time(tmp_path: Path) -> None:
    source = sources.file(dsec(tmp_path / "events.h5", arrays()))
    assert (source.format, source.shape, source.t_offset) == ("hdf5", (2, 480, 640), 54_000_000_000)


def test_arrays_of_others_say_neither(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for field, value in arrays(p=np.array([1, -1, 1], "i1"), x=np.array([5, 639, 0], "i8")).items():
            file[f"events/{field}"] = value
    source = sources.file(tmp_path / "a.h5")
    assert (source.shape, source.t_offset, read(tmp_path / "a.h5")) == (None, 0, ROWS)


def test_a_table_of_prophesee_is_events(tmp_path: Path) -> None:
    rows = np.zeros(3, METAVISION)
    for k, field in enumerate("txyp"):
        rows[field] = [row[k] for row in ROWS]
    path = table(tmp_path / "a.hdf5", rows, geometry=np.bytes_("1280x720"))
    assert (sources.file(path).shape, read(path, 2)) == ((2, 720, 1280), ROWS)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (arrays(x=None), "/events/x is missing"),
        (arrays(t=np.zeros(2, "u4")), "/events/t, x, y, p have 2, 3, 3, 3 values"),
        (arrays(t=np.zeros(3)), "/events/t must hold integers, got float64"),
        (arrays(x=np.array([b"a"] * 3)), r"/events/x must hold integers, got \|S1"),
        (arrays(y=np.zeros((3, 1), "u2")), "/events/y must be an array of one axis"),
        (arrays(y=np.uint16(3)), "/events/y must be an array of one axis"),
        (arrays(x=np.array([1, 2, 2**20])), "event 2: the event lies outside of any sensor"),
        (arrays(p=np.array([1, 2, 1])), "event 1: the event lies outside of any sensor: polarities are channels"),
        (arrays(t=np.array([5, 3, 9], "u4")), r"event 1: the event \(t = 3, x = 639, .* before the last one, of 5 us"),
        (arrays(x=np.array([5, 640, 9], "u2")), r"event 1: the event .* outside of the frame \(2, 480, 640\)"),
        (arrays(p=np.array([0, 1, 2], "u1")), r"event 2: the event .* outside of the frame"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(tmp_path: Path, values: Mapping[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=rf"events.h5': {said}"):
        read(dsec(tmp_path / "events.h5", values))


def test_a_table_without_a_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="/CD/events lacks x, p: it has t, y"):
        read(table(tmp_path / "a.h5", np.zeros(2, [("t", "i8"), ("y", "u2")])))
    with pytest.raises(DataError, match="/CD/events lacks t, x, y, p: it has float64"):
        read(table(tmp_path / "a.h5", np.zeros(2)))


def test_an_offset_that_is_no_integer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"events.h5': /t_offset must be an integer"):
        read(dsec(tmp_path / "events.h5", arrays(), offset=1.5))


def test_a_file_without_events_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = np.zeros(3)
    with pytest.raises(DataError, match=r"neither the arrays /events/t, x, y, p nor the table /CD/events"):
        read(tmp_path / "a.h5")


def test_values_that_compress_to_next_to_nothing_are_read(tmp_path: Path) -> None:
    zeros = {field: np.zeros(2**20, dtype) for field, dtype in DTYPES.items()}
    path = dsec(tmp_path / "events.h5", zeros, chunks=(2**20,), compression="gzip")
    assert sum(map(len, sources.file(path))) == 2**20


def test_a_size_that_nothing_lies_behind_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for field, dtype in DTYPES.items():
            file.create_dataset(f"events/{field}", (2**40,), dtype, chunks=(1024,))
    with pytest.raises(DataError, match="/events/t claims 1099511627776 values, and has 0"):
        read(tmp_path / "a.h5")


def test_pieces_that_take_too_much_memory_are_refused(tmp_path: Path) -> None:
    path = dsec(tmp_path / "events.h5", arrays(t=None))
    with h5py.File(path, "r+") as file:
        file.create_dataset("events/t", (3,), "u4", chunks=(2**24,), maxshape=(None,))
    with pytest.raises(DataError, match="/events/t has pieces of 67108864 bytes, the limit is 16777216"):
        read(path)


@pytest.mark.parametrize("link", [h5py.SoftLink("/ms_to_idx"), h5py.ExternalLink("b.h5", "/t")])
def test_links_are_refused(tmp_path: Path, link: Any) -> None:
    with h5py.File(dsec(tmp_path / "events.h5", arrays(t=None)), "r+") as file:
        file["events/t"] = link
    with pytest.raises(DataError, match=r"/events/t is (missing|a link: all must lie in this file)"):
        read(tmp_path / "events.h5")


def test_arrays_in_another_file_are_refused(tmp_path: Path) -> None:
    with h5py.File(dsec(tmp_path / "events.h5", arrays(t=None)), "r+") as file:
        file.create_dataset("events/t", (3,), "u4", external=[(str(tmp_path / "b.bin"), 0, 12)])
    with pytest.raises(DataError, match="/events/t lies in another file"):
        read(tmp_path / "events.h5")


@pytest.mark.parametrize("geometry", ["1280x720", np.bytes_("1280x720" + " " * 300), ["1280x720"], 1280])
def test_a_geometry_that_is_no_short_text_of_fixed_length_is_not_read(tmp_path: Path, geometry: Any) -> None:
    assert sources.file(table(tmp_path / "a.h5", np.zeros(1, METAVISION), geometry=geometry)).shape is None


def bomb(path: Path, raw: bytes, mask: int = 0, **how: Any) -> Path:
    """Write a file of DSEC whose 3 times are in a piece of 12 bytes that is stored as `raw`."""
    with h5py.File(dsec(path, arrays(t=None)), "r+") as file:
        made = file.create_dataset("events/t", (3,), "u4", chunks=(3,), compression="gzip", **how)
        made.id.write_direct_chunk((0,), raw, mask)
    return path


def test_a_piece_that_unpacks_to_more_than_it_says_is_refused(tmp_path: Path) -> None:
    path = bomb(tmp_path / "events.h5", zlib.compress(bytes(2**13)))
    with pytest.raises(
        DataError, match=r"/events/t: the piece of value 0, at byte \d+, has a compressed chunk that is"
    ):
        read(path)
    path = bomb(tmp_path / "events.h5", bytes(13), mask=1)
    with pytest.raises(DataError, match=r"the piece of value 0, at byte \d+, unpacks to 13 bytes, where 12 belong"):
        read(path)
    path = bomb(tmp_path / "events.h5", bytes(1000))
    with pytest.raises(DataError, match=r"the piece of value 0, at byte \d+, claims 1000 bytes, and has 12"):
        read(path)


def test_a_piece_that_was_not_compressed_for_it_would_not_shrink_is_read(tmp_path: Path) -> None:
    assert read(bomb(tmp_path / "events.h5", np.array([0, 7, 7], "<u4").tobytes(), mask=1)) == ROWS


@pytest.mark.parametrize(("number", "head"), [(hdf5.BLOSC, b"\2\1\0\1\x0d\0\0\0"), (hdf5.PROPHESEE, b"\4\0\0\0")])
def test_what_blosc_and_the_codec_of_prophesee_unpack_to_is_in_their_heads(number: int, head: bytes) -> None:
    said = 13 if number == hdf5.BLOSC else 16
    hdf5._require_unpacked([number], head, said)
    with pytest.raises(ValueError, match=f"unpacks to {said} bytes, where {said - 1} belong"):
        hdf5._require_unpacked([number], head, said - 1)


def test_a_compression_whose_memory_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"/events/t is stored through HDF5's filters \[32000\]; only one of"):
        read(dsec(tmp_path / "events.h5", arrays(), compression="lzf"))


@pytest.mark.parametrize("extra", [h5py.string_dtype(), "V2000"])
def test_a_table_of_rows_that_are_large_or_have_no_size_is_refused(tmp_path: Path, extra: Any) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("CD/events", (2,), [("t", "i8"), ("x", "u2"), ("y", "u2"), ("p", "i2"), ("more", extra)])
    with pytest.raises(DataError, match="/CD/events must hold values of fixed size and at most 1024 bytes"):
        read(tmp_path / "a.h5")


def test_a_table_is_read_once_for_all_of_its_columns() -> None:
    parts = []

    class Table:
        def __getitem__(self, part: slice) -> Any:
            parts.append(part)
            return np.zeros(2, METAVISION)

    one = Table()
    assert len(hdf5._read({field: (one, field) for field in "txyp"}, slice(0, 2))) == 2
    assert parts == [slice(0, 2)]


@pytest.mark.parametrize(
    ("number", "said"), [(hdf5.PROPHESEE, "the codec of Metavision"), (hdf5.BLOSC, "pip install 'spikerun.dsec.'")]
)
def test_a_compression_that_is_not_here_says_what_to_install(
    tmp_path: Path, number: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda one: False)
    with h5py.File(dsec(tmp_path / "events.h5", arrays(t=None)), "r+") as file:
        how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        how.set_chunk((3,))
        how.set_filter(number, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple((3,))
        made = h5py.h5d.create(file["events"].id, b"t", h5py.h5t.NATIVE_UINT32, space, how)
        made.write_direct_chunk((0,), bytes(12))
    with pytest.raises(UnsupportedError, match=f"/events/t is compressed by HDF5's filter {number}, .*{said}"):
        read(tmp_path / "events.h5")


@pytest.mark.parametrize("cut", [9, 100, 2000])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, cut: int) -> None:
    path = dsec(tmp_path / "events.h5", arrays())
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"events.h5' is no HDF5 file, or damaged \(HDF5 says: "):
        read(path)
