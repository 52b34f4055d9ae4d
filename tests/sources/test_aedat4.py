# SPDX-License-Identifier: Apache-2.0
"""AEDAT 4 files that faery has written of events of our own; the package aedat is asked what is in them."""

import struct
from pathlib import Path
from typing import Any

import aedat
import faery
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikerun import sources
from spikerun.errors import DataError
from spikerun.sources import aedat4 as aedat4_source
from spikerun.sources.frames import unpacked
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


def zstd_bomb(blocks: int) -> bytes:
    """Return a frame that says it holds 9 bytes, and holds blocks of 128 KB of one byte."""
    heads = [(2**17 << 3 | 1 << 1 | (k == blocks - 1)).to_bytes(3, "little") + b"a" for k in range(blocks)]
    return bytes.fromhex("28b52ffd2009") + b"".join(heads)


def lz4_bomb(blocks: int, size: int = 16_448) -> bytes:
    """Return a frame of compressed blocks, of up to 4 MB each when they are unpacked."""
    return bytes.fromhex("04224d18407000") + (struct.pack("<I", size) + bytes(size)) * blocks + bytes(4)


def refused(path: Path, content: bytes, said: str) -> None:
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"a.aedat4': {said}"):
        list(sources.file(path, "aedat4"))


def test_another_beginning_is_refused(tmp_path: Path, content: bytes) -> None:
    refused(
        tmp_path / "a.aedat4", b"#!AER-DAT3.1\r\n" + content[14:], "byte 0: an AEDAT 4 file begins with '#!AER-DAT4.0"
    )
    refused(tmp_path / "a.aedat4", b"#!", "byte 0: an AEDAT 4 file begins")


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


def content_end(content: bytes) -> int:
    """Return where the packets end, and their table begins."""
    root = 18 + int.from_bytes(content[18:22], "little")
    fields = root - int.from_bytes(content[root : root + 4], "little", signed=True)
    place = root + int.from_bytes(content[fields + 6 : fields + 8], "little")
    return int.from_bytes(content[place : place + 8], "little", signed=True)


def test_a_packet_that_claims_more_than_is_left_is_refused_by_its_byte(tmp_path: Path, content: bytes) -> None:
    at = packets(content)
    damaged = content[: at + 4] + b"\xff\xff\xff\xff" + content[at + 8 :]
    refused(tmp_path / "a.aedat4", damaged, f"byte {at}: a packet of 4294967295 bytes where .* are left")


def test_a_file_that_is_cut_off_is_refused_by_its_byte(tmp_path: Path, content: bytes) -> None:
    for at in (packets(content) + 5, packets(content) + 30, len(content) // 2):
        refused(tmp_path / "a.aedat4", content[:at], r"byte \d+: .* cut off")


def test_a_packet_that_is_damaged_is_refused(tmp_path: Path, content: bytes) -> None:
    at = packets(content) + 8
    said = f"byte {at}: the packet is damaged: no frame begins with 00000000"
    refused(tmp_path / "a.aedat4", content[:at] + bytes(20) + content[at + 20 :], said)
    said = f"byte {at}: the packet is damaged: unpack"
    refused(tmp_path / "a.aedat4", content[: at + 7] + b"\xff\xff\xff\x7f" + content[at + 11 :], said)
    refused(tmp_path / "a.aedat4", content[: at + 20] + bytes(20) + content[at + 40 :], "behind event 0: faery says: ")


@pytest.mark.parametrize("frame", [zstd_bomb(1100), lz4_bomb(33)], ids=["zstd", "lz4"])
def test_a_packet_that_expands_too_far_is_refused_before_faery_has_it(
    tmp_path: Path, content: bytes, frame: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aedat4_source, "decoder", None)
    at = packets(content)
    damaged = content[:at] + struct.pack("<II", 0, len(frame)) + frame + content[at:]
    # The table of packets lies behind them all.
    place = content.index(struct.pack("<q", content_end(content)), 18, at)
    damaged = damaged[:place] + struct.pack("<q", content_end(content) + 8 + len(frame)) + damaged[place + 8 :]
    refused(tmp_path / "a.aedat4", damaged, rf"byte {at + 8}: a packet of {len(frame)} bytes may become \d{{9}} when")


@given(st.integers(0, 5000), st.booleans())
@settings(max_examples=10)
def test_frames_may_become_what_they_do_and_little_more(tmp_path_factory: Any, count: int, zstd: bool) -> None:
    path = tmp_path_factory.mktemp("frames") / "a.aedat4"
    faery.events_stream_from_array(events(count), (346, 260)).to_file(path, compression=ZSTD if zstd else LZ4)
    content = path.read_bytes()
    at, end = packets(content), content_end(content)
    while at < end:
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        assert unpacked(content[at + 8 : at + 8 + size]) <= 2**18
        at += 8 + size


@pytest.mark.parametrize(("frame", "size"), [(zstd_bomb(3), 3 * 2**17), (lz4_bomb(2, 100), 2 * 255 * 100)])
def test_what_frames_become_is_summed_over_their_blocks(frame: bytes, size: int) -> None:
    skipped = struct.pack("<II", 0x184D2A53, 3) + b"abc"
    assert (unpacked(frame), unpacked(skipped + frame + frame)) == (size, 2 * size)
    for cut in range(1, min(len(frame), 30)):
        with pytest.raises((ValueError, struct.error)):
            unpacked(frame[:-cut])


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
