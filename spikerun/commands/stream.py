# SPDX-License-Identifier: Apache-2.0
"""`spikerun stream`: events of a recording, a pipe, the network or a camera through a network, as they come."""

import io
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from spikerun import sources
from spikerun.atomic import require_writable, writing_atomically
from spikerun.commands.samples import ThreadsOption
from spikerun.commands.stream_options import (
    BinOption,
    ClockOption,
    CountsOption,
    FormatOption,
    GraceOption,
    LateOption,
    MaxLagOption,
    NetOption,
    OverloadOption,
    SourceArgument,
    WarmOption,
)
from spikerun.commands.stream_source import Tap, opened, port_of
from spikerun.console import ForceOption, JsonOption, QuietOption, emit, live_line, table, talk
from spikerun.errors import SpikerunError, UsageError
from spikerun.events import EventArray
from spikerun.file import load
from spikerun.live import Live, live
from spikerun.network import Network
from spikerun.outputs import Outputs
from spikerun.queued import Queued
from spikerun.session import Session
from spikerun.sinks import CsvSink, SpikesAsEvents
from spikerun.spread import Spread
from spikerun.text import seconds

__all__ = ["stream"]

REFRESH = 0.25  # seconds from one state of the live line to the next
KINDS = (".csv", ".npy")  # of files that are written

Sink = Callable[[Outputs], object]


class Seen:
    """What the outputs have said so far."""

    def __init__(self) -> None:
        self.spikes, self.readings = 0, 0
        self.classes: Counter[int] = Counter()
        self.latest: int | None = None

    def add(self, outputs: Outputs) -> None:
        """Count what was sent."""
        self.spikes += sum(map(len, outputs.spikes.values()))
        for _, logits in outputs.readings.values():
            for one in (int(values.argmax()) for values in logits):
                self.readings, self.latest = self.readings + 1, one
                self.classes[one] += 1


def stream(
    source: SourceArgument,
    net: NetOption,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="WHERE",
            help="Where outputs go: FILE.csv; FILE.npy or udp://HOST:PORT, spikes as events; - standard output, CSV.",
        ),
    ] = None,
    bin: BinOption = "1ms",
    pace: Annotated[
        float | None,
        typer.Option(help="Replay a recording so many times as fast as it was; 1.0 as it was. Default: at once."),
    ] = None,
    format: FormatOption = None,
    clock: ClockOption = "events",
    grace: GraceOption = None,
    overload: OverloadOption = "block",
    max_lag: MaxLagOption = None,
    late: LateOption = "error",
    counts: CountsOption = None,
    warm: WarmOption = 0,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Take only the first events.")] = None,
    duration: Annotated[
        str | None, typer.Option("--duration", metavar="TIME", help="Take only events of so long, from the first on.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option("--record", metavar="FILE", help="Keep the events as they came, .npy or .csv.")
    ] = None,
    threads: ThreadsOption = None,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run events through a network, as they come, and write what its outputs send.

    Ctrl-C ends it; outputs and events so far are kept.
    """
    if json and output == "-":
        raise UsageError("--json and -o - both write to standard output: give -o a file")
    _check_names(output, record, force, source, net)
    step_us = seconds(bin, "--bin") * 1e6
    network = load(net)
    shape = network.populations[network.inputs[0]].shape
    running = Session(network, threads=threads).stream(step_us, late, counts)
    with ExitStack() as stack:
        events = opened(source, format, shape if len(shape) == 3 else None, pace)
        if isinstance(events, Queued):
            stack.callback(events.close)
        taps = _recorder(record, force, stack)
        tap = Tap(events, limit, None if duration is None else seconds(duration, "--duration") * 1e6, taps)
        lag = None if max_lag is None else seconds(max_lag, "--max-lag") * 1e6
        later = 0.0 if grace is None else seconds(grace, "--grace") * 1e6
        drive = live(running, tap, clock=clock, overload=overload, max_lag_us=lag, grace_us=later, warm=warm)
        sink = _sink(output, force, network, running.step_ns, stack)
        begin = time.perf_counter()
        seen, interrupted, error = _driven(drive, tap, sink, quiet or json)
    found = _found(drive, tap, seen, time.perf_counter() - begin)
    found |= {"network": str(net), "source": source, "step_us": step_us, "interrupted": interrupted}
    found |= {"output": output, "record": record}
    if output == "-":
        talk(_text(found), quiet)
    else:
        emit("spikerun.stream/1", found, json, lambda: _text(found))
    kept = " and ".join(f"'{one}'" for one in (output, record) if one is not None and str(one) != "-")
    if kept and (interrupted or error):
        talk(f"{'interrupted' if interrupted else 'ended by an error'}: what came before is in {kept}", quiet)
    if error is not None:
        raise error
    if not drive.taken and not interrupted:
        talk(f"warning: no events came from '{source}'", quiet)
    if interrupted:
        raise KeyboardInterrupt


def _check_names(output: str | None, record: Path | None, force: bool, source: str, net: Path) -> None:
    """Refuse names before anything is opened."""
    files = [Path(output)] if output not in (None, "-") and port_of(output) is None else []
    for file in [*files, *([record] if record is not None else [])]:
        if file.suffix.lower() not in KINDS:
            raise UsageError(f"'{file}' says by its name what is written to it: give one that ends in .csv or .npy")
        require_writable(file, force, keep=(source, net))
    if len(files) == 1 and record is not None and files[0].resolve() == record.resolve():
        raise UsageError(f"outputs and events cannot both be written to '{record}'")


def _driven(drive: Live, tap: Tap, sink: Sink | None, quiet: bool) -> tuple[Seen, bool, SpikerunError | None]:
    """Drive to the end, or until Ctrl-C or an error, after which what has come is run and written."""
    seen, error = Seen(), None
    with _stopped(drive, tap) as interrupted, live_line(quiet) as tell:
        shown, before = time.monotonic(), 0
        while True:
            try:
                outputs = next(drive, None)
            except KeyboardInterrupt:
                if len(interrupted) > 1:
                    raise
                continue
            except SpikerunError as found:
                error = found
                break
            if outputs is None:
                break
            seen.add(outputs)
            if sink is not None and len(outputs):
                sink(outputs)
            now = time.monotonic()
            if now - shown >= REFRESH:
                tell(_line(drive, tap, seen, (drive.taken - before) / (now - shown)))
                shown, before = now, drive.taken
        return seen, bool(interrupted), error


@contextmanager
def _stopped(drive: Live, tap: Tap) -> Iterator[list[int]]:
    """Let the first Ctrl-C end the drive in order, and a second one at once; the list tells of it."""
    seen: list[int] = []

    def stop(number: int, frame: object) -> None:
        drive.stop()
        seen.append(number)
        if tap.waiting or len(seen) > 1:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # signals are somebody else's
        yield seen
        return
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


def _recorder(record: Path | None, force: bool, stack: ExitStack) -> Callable[[EventArray], None] | None:
    if record is None:
        return None
    file, _ = stack.enter_context(writing_atomically(record, force))
    return _events_file(file, record.suffix.lower(), stack)


def _events_file(file: IO[bytes], suffix: str, stack: ExitStack) -> Callable[[EventArray], None]:
    """Return what writes events to an open file."""
    if suffix == ".npy":
        sink = sources.NpySink(file)
        stack.callback(sink.close)
        return sink.write
    file.write(b"t,x,y,p\n")

    def write(events: EventArray) -> None:
        file.write(b"".join(b"%d,%d,%d,%d\n" % event for event in events[["t", "x", "y", "p"]].tolist()))

    return write


def _sink(output: str | None, force: bool, net: Network, step_ns: int, stack: ExitStack) -> Sink | None:
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
        write = _events_file(file, ".npy", stack)
        return lambda outputs: write(made.of(outputs))
    text = io.TextIOWrapper(file, "utf-8", newline="\n")
    stack.callback(text.detach)
    return CsvSink(text, step_ns).write


def _flushed(sink: CsvSink) -> Sink:
    """Return what writes to standard output, so that its reader gets what was sent at once."""

    def write(outputs: Outputs) -> None:
        sink.write(outputs)
        sys.stdout.flush()

    return write


def _line(drive: Live, tap: Tap, seen: Seen, rate: float) -> str:
    parts = [f"{rate / 1e6:.3f} million events/s", f"step {drive.stream.t:,}"]
    if drive.lag.count:
        parts.append(f"lag {drive.lag.last / 1e6:.2f} ms")
    if seen.latest is not None:
        parts.append(f"class {seen.latest}")
    parts.append(f"{seen.spikes:,} spikes")
    lost = drive.dropped + getattr(tap, "lost", 0)
    return "  ".join([*parts, *([f"dropped {lost:,}"] if lost else [])])


def _found(drive: Live, tap: Tap, seen: Seen, took: float) -> dict[str, Any]:
    """Return what there is to say at the end; times in microseconds."""
    stats = drive.stream.stats
    return {
        "events": drive.taken,
        "dropped": drive.dropped,
        "dropped_bins": drive.dropped_bins,
        "late": stats.late,
        "late_dropped": stats.dropped,
        "clipped": stats.clipped,
        "lost_datagrams": getattr(tap, "lost", None),
        "refused_datagrams": getattr(tap, "refused", None),
        "bins": drive.stream.t,
        "spikes": seen.spikes,
        "readings": seen.readings,
        "classes": {str(number): count for number, count in sorted(seen.classes.items())},
        "seconds": took,
        "events_per_second": drive.taken / took if took else None,
        "step_us_taken": {name: stats.step_us(percent) for name, percent in (("p50", 50), ("p99", 99), ("max", 100))},
        "lag_us": _spread(drive.lag),
    }


def _spread(spread: Spread) -> dict[str, float] | None:
    if not spread.count:
        return None
    found = {f"p{percent}": (spread.percentile(percent) or 0.0) / 1000 for percent in (50, 99)}
    return {**found, "max": spread.largest / 1000}


def _text(found: dict[str, Any]) -> str:
    rows = [
        ("events", f"{found['events']:,} in {found['seconds']:.2f} s"),
        ("steps", f"{found['bins']:,} of {found['step_us']:g} us"),
        ("spikes", f"{found['spikes']:,}"),
    ]
    if found["readings"]:
        most = sorted(found["classes"].items(), key=lambda item: -item[1])[:5]
        said = ", ".join(f"{name} ({count})" for name, count in most)
        rows.append(("readings", f"{found['readings']:,}, classes {said}"))
    rows.append(("dropped", f"{found['dropped']:,} events, of {found['dropped_bins']:,} steps"))
    if found["late"]:
        rows.append(("late", f"{found['late']:,} events, of which {found['late_dropped']:,} were dropped"))
    for key, what in (("lost_datagrams", "lost by the system"), ("refused_datagrams", "refused")):
        if found[key]:
            rows.append((what, f"{found[key]:,} datagrams"))
    rows.append(("a step took", ", ".join(f"{name} {value:,.0f} us" for name, value in found["step_us_taken"].items())))
    if found["lag_us"]:
        rows.append(("lag", ", ".join(f"{name} {value / 1000:.2f} ms" for name, value in found["lag_us"].items())))
    rows += [(what, str(found[key])) for key, what in (("output", "wrote"), ("record", "recorded")) if found[key]]
    return table((), rows)
