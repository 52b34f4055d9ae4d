# SPDX-License-Identifier: Apache-2.0
"""AEDAT 4 files that faery has written of events of our own; the package aedat is asked what is in them."""

from pathlib import Path
from typing import Any

import aedat
import faery
import numpy as np
import pytest

from spikerun import sources
from spikerun.errors import DataError
from spikerun.sources.through_faery import chunks

T0 = 1_700_000_000_000_000  # microseconds since 1970, as cameras write them
LZ4, ZSTD = ("lz4", 1), ("zstd", 3)


def events(count: int = 500) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(0)
    found = np.zeros(count, faery.EVENTS_DTYPE)
    found["t"] = T0 + np.sort(rng.integers(0, 50_000, count))
    for name, end in (("x", 346), ("y", 260), ("p", 2)):
        found[name] = rng.integers(0, end, count)
    return found


def aedat4(path: Path, compression: Any = LZ4) -> Path:
    stream = faery.events_stream_from_array(events(), (346, 260))
    stream.to_file(path, zero_t0=False, compression=compression)
    return path


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return aedat4(tmp_path_factory.mktemp("aedat4") / "a.aedat4").read_bytes()


@pytest.mark.parametrize("compression", [None, LZ4, ZSTD])
def test_events_come_back_as_another_reader_has_them(tmp_path: Path, compression: Any) -> None:
    path = aedat4(tmp_path / "a.aedat4", compression)
    source = sources.file(path, chunk=64)
    found = np.concatenate(list(source))
    assert (source.shape, max(map(len, source))) == ((2, 260, 346), 64)
    other = np.concatenate([packet["events"] for packet in aedat.Decoder(path) if "events" in packet])
    for name, theirs in zip(("t", "x", "y", "p"), ("t", "x", "y", "on"), strict=True):
        np.testing.assert_array_equal(found[name], events()[name])
        np.testing.assert_array_equal(found[name], other[theirs])


def refused(path: Path, content: bytes, said: str) -> None:
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"a.aedat4': {said}"):
        list(sources.file(path, "aedat4"))


def test_another_beginning_is_refused(tmp_path: Path, content: bytes) -> None:
    refused(
        tmp_path / "a.aedat4", b"#!AER-DAT3.1\r\n" + content[14:], "byte 0: an AEDAT 4 file begins with '#!AER-DAT4.0"
    )
    refused(tmp_path / "a.aedat4", b"", "byte 0: an AEDAT 4 file begins")


@pytest.mark.parametrize("size", [0, 2**24 + 1, 2**32 - 1])
def test_a_header_that_claims_more_than_the_file_has_is_refused(tmp_path: Path, content: bytes, size: int) -> None:
    said = rf"byte 14: a header of {size} bytes, and the file has"
    refused(tmp_path / "a.aedat4", content[:14] + size.to_bytes(4, "little") + content[18:], said)


@pytest.mark.parametrize("which", ["root", "table of fields", "description", "length of the description"])
def test_a_header_whose_parts_lie_outside_of_it_is_refused(tmp_path: Path, content: bytes, which: str) -> None:
    root = 18 + int.from_bytes(content[18:22], "little")
    fields = root - int.from_bytes(content[root : root + 4], "little", signed=True)
    description = root + int.from_bytes(content[fields + 8 : fields + 10], "little")
    text = description + int.from_bytes(content[description : description + 4], "little")
    at = {"root": 18, "table of fields": root, "description": description}.get(which, text)
    damaged = content[:at] + b"\xff\xff\xff\x7f" + content[at + 4 :]
    refused(tmp_path / "a.aedat4", damaged, "byte 18: the header is damaged: ")


def packets(content: bytes) -> int:
    """Return where the packets begin."""
    return 18 + int.from_bytes(content[14:18], "little")


def test_a_packet_that_claims_more_than_is_left_is_refused_by_its_byte(tmp_path: Path, content: bytes) -> None:
    at = packets(content)
    damaged = content[: at + 4] + b"\xff\xff\xff\xff" + content[at + 8 :]
    refused(tmp_path / "a.aedat4", damaged, f"byte {at}: a packet of 4294967295 bytes where .* are left")


def test_a_file_that_is_cut_off_is_refused_by_its_byte(tmp_path: Path, content: bytes) -> None:
    for at in (packets(content) + 5, packets(content) + 30, len(content) // 2):
        refused(tmp_path / "a.aedat4", content[:at], r"byte \d+: .* cut off")


def test_a_packet_that_is_damaged_is_refused(tmp_path: Path, content: bytes) -> None:
    at = packets(content) + 8
    refused(tmp_path / "a.aedat4", content[:at] + bytes(20) + content[at + 20 :], "behind event 0: faery says: ")


def test_a_panic_of_faery_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    class PanicException(BaseException):
        pass

    def fails() -> Any:
        yield np.zeros(3, faery.EVENTS_DTYPE)
        raise PanicException("index out of bounds")

    with pytest.raises(DataError, match=r"a.es': behind event 3: faery says: index out of bounds"):
        list(chunks(tmp_path / "a.es", fails, 10))


def test_an_interrupt_is_none_of_faerys_errors(tmp_path: Path) -> None:
    def interrupted() -> Any:
        yield np.zeros(3, faery.EVENTS_DTYPE)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(chunks(tmp_path / "a.es", interrupted, 10))
