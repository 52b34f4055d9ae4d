# SPDX-License-Identifier: Apache-2.0
"""AEDAT 3.1, of cAER and jAER: lines that begin with #, then packets of events of one type; polarities are read.

A packet has a head of 28 bytes: type and source, 16 bits each, then of 32 bits the size of an event, where its time
lies in it, the high part of times, how many events have room, how many are there, how many are valid. A polarity event
has 32 bits, from the lowest on 1 (valid), 1 (p), 15 (y) and 15 (x), and 31 of microseconds. Origin top left. After
iniVation's description of the format; packets of other types are skipped, and so are events that are not valid.
"""

import functools
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from spikerun.errors import DataError
from spikerun.events import EVENT
from spikerun.sources.format import Chunks, Opened
from spikerun.sources.records import head

__all__ = ["opened"]

VERSION, END = b"#!AER-DAT3.1\r\n", b"#!END-HEADER\r\n"
LONGEST_HEADER = 1 << 16  # bytes
FIELDS = ("event_size", "time_at", "overflow", "capacity", "number", "valid")
HEAD = np.dtype([("type", "<i2"), ("source", "<i2"), *((name, "<i4") for name in FIELDS)])
RECORD = np.dtype([("place", "<u4"), ("t", "<i4")])
POLARITY = 1  # the type of such events
LARGEST_EVENT = 1 << 24  # bytes of one, such as a frame


def opened(path: Path) -> Opened:
    """Return the file, whose header does not say its shape. Raises DataError where it has none of version 3.1."""
    begin = head(path, LONGEST_HEADER)
    if not begin.startswith(VERSION):
        raise DataError(f"'{path}': byte 0: begins with {begin[:14]!r}, AEDAT 3.1 with {VERSION!r}")
    at = begin.find(END)
    if at < 0:
        raise DataError(f"'{path}': no line {END!r} within {len(begin)} bytes: the file is cut off, or no AEDAT 3.1")
    return Opened(None, functools.partial(_chunks, path, at + len(END)))


def _chunks(path: Path, at: int, chunk: int) -> Chunks:
    end = os.path.getsize(path)
    with path.open("rb") as file:
        while at < end:
            file.seek(at)
            packet = _packet(path, file, at, end)
            at += HEAD.itemsize
            if packet["type"] == POLARITY:
                for first in range(0, int(packet["number"]), chunk):
                    raw = np.fromfile(file, RECORD, min(chunk, int(packet["number"]) - first))
                    valid = raw["place"] & 1 == 1
                    found = raw if valid.all() else raw[valid]
                    yield _decoded(found, int(packet["overflow"])), functools.partial(_where, at, first, valid)
            at += int(packet["event_size"]) * int(packet["capacity"])


def _packet(path: Path, file: BinaryIO, at: int, end: int) -> np.void:
    """Return the head of the packet at byte `at`, whose events are in the file."""
    raw = file.read(HEAD.itemsize)
    if len(raw) < HEAD.itemsize:
        raise DataError(f"'{path}': byte {at}: {len(raw)} of the {HEAD.itemsize} bytes of a packet: it is cut off")
    packet: np.void = np.frombuffer(raw, HEAD)[0]
    size, capacity = int(packet["event_size"]), int(packet["capacity"])
    if not (0 < size <= LARGEST_EVENT and 0 <= packet["number"] <= capacity and packet["overflow"] >= 0):
        says = ", ".join(f"{name} {packet[name]}" for name in FIELDS)
        raise DataError(f"'{path}': byte {at}: no packet of AEDAT 3.1 has {says}: the file is damaged")
    if packet["type"] == POLARITY and size != RECORD.itemsize:
        raise DataError(f"'{path}': byte {at}: polarity events of {size} bytes, they have {RECORD.itemsize}")
    if at + HEAD.itemsize + size * capacity > end:
        raise DataError(
            f"'{path}': byte {at}: a packet claims {capacity} events of {size} bytes, and {end - at - HEAD.itemsize} "
            "bytes are left: the file is cut off"
        )
    return packet


def _decoded(raw: NDArray[np.void], overflow: int) -> NDArray[np.void]:
    found = np.zeros(len(raw), EVENT)
    place = raw["place"]
    found["t"] = raw["t"]
    found["t"] += overflow << 31
    found["x"], found["y"], found["p"] = place >> 17, place >> 2 & 0x7FFF, place >> 1 & 1
    return found


def _where(at: int, first: int, valid: NDArray[np.bool_], k: int) -> str:
    return f"byte {at + (first + int(np.flatnonzero(valid)[k])) * RECORD.itemsize}"
