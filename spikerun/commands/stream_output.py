# SPDX-License-Identifier: Apache-2.0
"""Where `spikerun stream` writes outputs, and the events that it records."""

import io
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from spikerun import sources
from spikerun.atomic import writing_atomically
from spikerun.commands.stream_source import port_of
from spikerun.console import forget_output
from spikerun.errors import UsageError
from spikerun.events import EventArray
from spikerun.network import Network
from spikerun.outputs import Outputs
from spikerun.sinks import CsvSink, SpikesAsEvents

__all__ = ["Sink", "recorder", "sink_of"]

Sink = Callable[[Outputs], object]


class WholeWrites(io.RawIOBase):
    """An open file to which each write goes as a whole, or, where there is no room, not at all: a UsageError."""

    def __init__(self, file: IO[bytes], path: object) -> None:
        super().__init__()
        self._descriptor, self._path = file.fileno(), path

    def write(self, content: Any, /) -> int:
        held, place = os.fstat(self._descriptor).st_size, os.lseek(self._descriptor, 0, os.SEEK_CUR)
        left = memoryview(memoryview(content).tobytes())
        size = len(left)
        try:
            while len(left):
                left = left[os.write(self._descriptor, left) :]
        except OSError as error:
            os.ftruncate(self._descriptor, held)
            os.lseek(self._descriptor, place, os.SEEK_SET)
            raise UsageError(
                f"cannot write all of '{self._path}': {os.strerror(error.errno or 0)}; make room, or write elsewhere"
            ) from error
        return size

    def seek(self, place: int, whence: int = os.SEEK_SET, /) -> int:
        return os.lseek(self._descriptor, place, whence)


def recorder(record: Path | None, force: bool, stack: ExitStack) -> Callable[[EventArray], None] | None:
    """Return what writes events to a file, if one is named."""
    if record is None:
        return None
    file, _ = stack.enter_context(writing_atomically(record, force))
    return _events_file(WholeWrites(file, record), record.suffix.lower(), stack)


def _events_file(file: WholeWrites, suffix: str, stack: ExitStack) -> Callable[[EventArray], None]:
    """Return what writes events to an open file."""
    if suffix == ".npy":
        sink = sources.NpySink(file)  # type: ignore[arg-type]  # it writes and seeks
        stack.callback(sink.close)
        return sink.write
    file.write(b"t,x,y,p\n")

    def write(events: EventArray) -> None:
        file.write(b"".join(b"%d,%d,%d,%d\n" % event for event in events[["t", "x", "y", "p"]].tolist()))

    return write


def sink_of(output: str | None, force: bool, net: Network, step_ns: int, stack: ExitStack) -> Sink | None:
    """Return what writes outputs to where the command line says."""
    if output is None:
        return None
    if output == "-":
        return _flushed(CsvSink(sys.stdout, step_ns))
    address = port_of(output)
    made = SpikesAsEvents(net, step_ns) if address or output.lower().endswith(".npy") else None
    if address is not None and made is not None:
        sender = sources.UdpSink(*address)
        stack.callback(sender.close)
        return lambda outputs: sender.write(made.of(outputs))
    file, _ = stack.enter_context(writing_atomically(output, force))
    if made is not None:
        write = _events_file(WholeWrites(file, output), ".npy", stack)
        return lambda outputs: write(made.of(outputs))
    return _lines(WholeWrites(file, output), step_ns)


def _flushed(sink: CsvSink) -> Sink:
    """Return what writes to standard output, so that its reader gets what was sent at once."""

    def write(outputs: Outputs) -> None:
        try:
            sink.write(outputs)
            sys.stdout.flush()
        except BaseException:  # its reader has gone, or reads no more: what it has not taken is nobody's
            forget_output()
            raise

    return write


def _lines(file: WholeWrites, step_ns: int) -> Sink:
    """Return what writes whole lines."""
    text = io.StringIO()
    sink = CsvSink(text, step_ns)
    file.write(text.getvalue().encode())

    def write(outputs: Outputs) -> None:
        text.seek(0)
        text.truncate()
        sink.write(outputs)
        file.write(text.getvalue().encode())

    return write
