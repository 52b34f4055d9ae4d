# SPDX-License-Identifier: Apache-2.0
"""Events in datagrams, over sockets of this computer."""

import itertools
import logging
import socket
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from spikerun import EVENT
from spikerun.errors import DataError, UsageError
from spikerun.sources import Udp, UdpSink, paced, udp

Chunk = np.ndarray[Any, Any]
# Two events as faery 0.7.1 sent them, with the format t64_x16_y16_on8: t = 1, x = 2, y = 3, on; and 2^40, 33, 7, off.
DATAGRAM = bytes.fromhex("01000000000000000200030001" + "00000000000100002100070000")


@pytest.fixture
def source() -> Iterator[Udp]:
    with udp(0, shape=(2, 34, 34)) as found:
        yield found


def send(port: int, *datagrams: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for datagram in datagrams:
            sender.sendto(datagram, ("127.0.0.1", port))


def received(source: Udp, n: int) -> Chunk:
    """Return what has come, once n events have."""
    found: list[Chunk] = []
    for chunk in itertools.islice(source, 1000):
        found.append(chunk)
        if sum(map(len, found)) >= n:
            break
    return np.concatenate(found)


def recording(n: int) -> Chunk:
    rng = np.random.default_rng(0)
    events = np.zeros(n, EVENT)
    events["t"] = np.sort(rng.integers(0, 2**50, n))
    for name, size in (("x", 34), ("y", 34), ("p", 2)):
        events[name] = rng.integers(0, size, n)
    return events


def test_a_datagram_of_faery_is_its_events(source: Udp) -> None:
    send(source.port, DATAGRAM)
    events = received(source, 2)
    assert events.dtype == EVENT
    assert events[["t", "x", "y", "p"]].tolist() == [(1, 2, 3, 1), (2**40, 33, 7, 0)]


def test_what_a_sink_sends_arrives(source: Udp) -> None:
    sink, events = UdpSink(source.port), recording(1001)
    sink.write(events)
    sink.close()
    assert (received(source, len(events))[["t", "x", "y", "p"]] == events[["t", "x", "y", "p"]]).all()


def test_a_datagram_is_given_without_waiting_for_more() -> None:
    with udp(0, tick_us=2_000_000) as source:
        send(source.port, DATAGRAM)
        begin = time.monotonic()
        assert len(next(iter(source))) == 2
        assert time.monotonic() - begin < 1


def test_silence_gives_empty_arrays(source: Udp) -> None:
    assert len(next(iter(source))) == 0


def test_datagrams_that_overtook_each_other_are_put_in_order(source: Udp) -> None:
    events = recording(30)
    records = np.zeros(30, [("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])
    for name in ("t", "x", "y", "p"):
        records[name] = events[name]
    send(source.port, records[20:].tobytes(), records[:20].tobytes())
    assert received(source, 30)["t"].tolist() == events["t"].tolist()


@pytest.mark.parametrize(
    ("datagram", "why"),
    [
        (DATAGRAM[:-1], "25 bytes, and events of 13 each"),
        (DATAGRAM[13:] + DATAGRAM[:13], "in order of time"),
        (DATAGRAM.replace(b"\x21", b"\x22"), "outside"),
        (b"\xff" * 8 + DATAGRAM[8:13], "2^53"),
        (DATAGRAM[:12] + b"\x07", "polarities"),
    ],
)
def test_what_holds_no_events_is_counted_and_left(
    source: Udp, datagram: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "spikerun"):
        send(source.port, datagram, datagram, DATAGRAM)
        assert len(received(source, 2)) == 2
    assert source.refused == 2
    (record,) = caplog.records  # said once
    assert record.getMessage().startswith("a datagram from 127.0.0.1 holds no events")
    assert why in record.getMessage()


def test_an_empty_datagram_is_no_event_and_no_fault(source: Udp) -> None:
    send(source.port, b"", DATAGRAM)
    assert len(received(source, 2)) == 2
    assert source.refused == 0


def test_what_the_system_has_no_room_for_is_counted(source: Udp) -> None:
    sent, got = 20_000, 0
    send(source.port, *[DATAGRAM] * sent)
    for chunk in source:
        if not len(chunk):
            break
        got += len(chunk) // 2
    send(source.port, DATAGRAM)  # it says how many were lost before it
    received(source, 2)
    assert source.lost > 0
    assert got + source.lost == sent


def test_a_port_in_use_is_refused(source: Udp) -> None:
    with pytest.raises(UsageError, match=f"cannot listen on udp://127.0.0.1:{source.port}"):
        udp(source.port)


@pytest.mark.parametrize("port", [-1, 65536, "a", None, 1.5, True])
def test_a_port_that_is_none_is_refused(port: Any) -> None:
    for opened, least in ((udp, 0), (UdpSink, 1)):
        with pytest.raises(UsageError, match=f"a port is a number of {least} to 65535, got {port!r}"):
            opened(port)


def test_nothing_is_sent_to_port_0() -> None:
    with pytest.raises(UsageError, match="a port is a number of 1 to 65535, got 0"):
        UdpSink(0)


@pytest.mark.parametrize("host", [5, None, "a\0b"])
def test_a_host_that_is_none_is_refused(host: Any) -> None:
    for opened in (udp, UdpSink):
        with pytest.raises(UsageError, match="a host is a name or an address"):
            opened(5555, host)


@pytest.mark.parametrize("tick_us", ["a", 0, -1, float("nan")])
def test_a_tick_that_is_none_is_refused(tick_us: Any) -> None:
    for opened in (lambda: udp(0, tick_us=tick_us), lambda: paced([], tick_us=tick_us)):
        with pytest.raises(UsageError, match="tick_us must be a number of microseconds, above 0"):
            opened()


def test_a_sink_takes_what_can_be_made_events(source: Udp) -> None:
    sink, events = UdpSink(source.port), recording(3)
    sink.write(events.astype([("ts", "i8"), ("x", "i4"), ("y", "i4"), ("on", "?")]))
    assert received(source, 3).tolist() == events.tolist()
    with pytest.raises(DataError, match="structured array"):
        sink.write(np.zeros(3))
    sink.close()


def test_nobody_who_listens_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with udp(0) as source:
        sink = UdpSink(source.port)
    with caplog.at_level(logging.WARNING, "spikerun"):
        for _ in range(5):  # the system tells of a datagram when the next one is sent
            sink.write(recording(1))
    sink.close()
    assert sink.unheard == 4
    assert [record.getMessage() for record in caplog.records] == [f"nobody listens at udp://127.0.0.1:{source.port}"]


def test_where_nothing_can_be_sent_it_says_so(source: Udp) -> None:
    sink = UdpSink(source.port)
    sink.close()
    with pytest.raises(UsageError, match=f"cannot send to udp://127.0.0.1:{source.port}: Bad file descriptor"):
        sink.write(recording(1))


def test_what_is_sent_once_somebody_listens_arrives(source: Udp) -> None:
    sink = UdpSink(source.port)
    source.close()
    sink.write(recording(1))
    with udp(source.port) as again:
        sink.write(recording(7))
        assert len(received(again, 7)) == 7
    sink.close()
