# SPDX-License-Identifier: Apache-2.0
"""Events in datagrams, to this computer and from it.

A datagram holds records of 13 bytes, little-endian: t in microseconds (64 bits), x (16), y (16), on (8; 0 or 1). It is
the format that faery (github.com/aestream/faery) calls t64_x16_y16_on8.
"""

import logging
import math
import select
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.errors import DataError, UsageError
from spikerun.events import EVENT, as_events, converted, microseconds
from spikerun.sources.closing import Closing

__all__ = ["Udp", "UdpSink", "udp"]

RECORD = np.dtype([("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])
LARGEST = 65535  # bytes of a datagram
BURST = 256  # datagrams that are taken together, at most
SENT = 100  # events of a datagram that is sent: 1,300 bytes, which Ethernet carries whole
BUFFER = 1 << 22  # bytes that the system is asked to keep for us; it may grant fewer
SO_RXQ_OVFL = 40  # of Linux: each datagram says how many were lost before it
NOTHING = np.zeros(0, EVENT)

log = logging.getLogger(__name__)
Chunk = npt.NDArray[Any]


class Udp(Closing):
    """What `udp` returns: a source that never ends. Closed by `close`, or as a context.

    port: that it listens on; lost: datagrams that the system had no room for; refused: those that held no events.
    """

    pace = 1.0  # events come when they happen
    waits = False
    drift = 2e-4  # the clock of a camera may be slower than ours by so much

    def __init__(self, port: int, host: str, shape: tuple[int, int, int] | None, tick_us: int) -> None:
        self.shape, self.lost, self.refused = shape, 0, 0
        self._tick_ms = max(1, math.ceil(microseconds("tick_us", tick_us) / 1000))
        _check_address(port, host)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
            self._socket.setblocking(False)
            self._socket.bind((host, port))
        except (OSError, ValueError) as error:
            self._socket.close()
            raise UsageError(f"cannot listen on udp://{host}:{port}: {error}; choose another port") from error
        self.port: int = self._socket.getsockname()[1]
        self._wait = select.poll()
        self._wait.register(self._socket, select.POLLIN)

    def __iter__(self) -> Iterator[Chunk]:
        while self._socket.fileno() >= 0:
            yield self._together([events for events in map(self._events, self._burst()) if len(events)])

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()

    def _burst(self) -> list[tuple[bytes, Any]]:
        """Return the datagrams that wait, each with where it is from; after a tick without any, none."""
        found: list[tuple[bytes, Any]] = []
        self._wait.poll(self._tick_ms)
        try:
            while len(found) < BURST:
                content, extra, _, sender = self._socket.recvmsg(LARGEST, socket.CMSG_SPACE(4))
                self.lost = next((int.from_bytes(d, "little") for _, k, d in extra if k == SO_RXQ_OVFL), self.lost)
                found.append((content, sender))
        except BlockingIOError:
            return found
        return found

    def _events(self, datagram: tuple[bytes, Any]) -> Chunk:
        """Return the events of a datagram; anyone may send us one, so what holds none is counted and left."""
        content, sender = datagram
        try:
            if len(content) % RECORD.itemsize:
                raise DataError(f"it has {len(content)} bytes, and events of {RECORD.itemsize} each")
            return as_events(np.frombuffer(content, RECORD), self.shape)
        except DataError as error:
            if not self.refused:
                log.warning("a datagram from %s holds no events: %s; such are left out, and counted", sender[0], error)
            self.refused += 1
            return NOTHING

    def _together(self, found: list[Chunk]) -> Chunk:
        """Return one array in order of time: datagrams may overtake each other."""
        if len(found) < 2:
            return found[0] if found else NOTHING
        events = np.concatenate(found)
        t = events["t"]
        return events if (t[1:] >= t[:-1]).all() else events[np.argsort(t, kind="stable")]


def udp(port: int, host: str = "127.0.0.1", *, shape: tuple[int, int, int] | None = None, tick_us: int = 1000) -> Udp:
    """Listen for events in datagrams.

    port:    0 takes a free one, `port` of what is returned
    host:    the address of this computer to listen on. The default is reached from this computer alone; "0.0.0.0" is
             reached by anyone, and nothing says who sent an event
    shape:   (C, H, W) that events must lie in; None: any
    tick_us: after so many microseconds without a datagram, in whole milliseconds, an empty array is given

    Arrays are in order of time each. Memory is bounded: at most 256 datagrams are taken at once, the system keeps some
    MB more, and what it had no room for is counted in `lost`.
    Raises UsageError where the port cannot be had.
    """
    return Udp(port, host, shape, tick_us)


def _check_address(port: int, host: str, least: int = 0) -> None:
    if not isinstance(host, str) or "\0" in host:
        raise UsageError(f"a host is a name or an address, such as '127.0.0.1', got {host!r:.80}")
    if isinstance(port, bool) or not isinstance(port, int | np.integer) or not least <= port <= 65535:
        where = f"udp://{host}:{port!s:.80}"
        raise UsageError(f"'{where}': a port is a number of {least} to 65535, got {port!r:.80}")


class UdpSink:
    """Sends events in datagrams of at most 100 to a host and port. Raises UsageError where there is no such host.

    unheard: datagrams to this computer for which nobody listened; of others nobody tells.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.unheard, self._where = 0, f"udp://{host}:{port}"
        _check_address(port, host, least=1)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.connect((host, port))
        except (OSError, ValueError) as error:
            self._socket.close()
            raise UsageError(f"cannot send to {self._where}: {error}") from error

    def write(self, events: Chunk) -> None:
        """Send events, of which some may get lost. Raises UsageError where the system sends none."""
        events = converted(events)
        records = np.zeros(len(events), RECORD)
        for field in RECORD.names or ():
            records[field] = events[field]
        for begin in range(0, len(records), SENT):
            try:
                self._send(records[begin : begin + SENT].tobytes())
            except OSError as error:
                raise UsageError(f"cannot send to {self._where}: {error.strerror}") from error

    def _send(self, datagram: bytes) -> None:
        try:
            self._socket.send(datagram)
        except ConnectionRefusedError:  # of an earlier datagram, which the system tells instead of sending this one
            if not self.unheard:
                log.warning("nobody listens at %s", self._where)
            self.unheard += 1
            self._socket.send(datagram)

    def close(self) -> None:
        """Send no more."""
        self._socket.close()
