# SPDX-License-Identifier: Apache-2.0
"""`spikerun stream`: events of a recording, a pipe, the network or a camera through a network, as they come."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from spikerun.atomic import require_writable
from spikerun.commands.samples import ThreadsOption
from spikerun.commands.stream_interrupt import Signals, ending, signals
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
    require_events,
    step_of,
    timing,
)
from spikerun.commands.stream_output import Sink, recorder, sink_of
from spikerun.commands.stream_source import Intake, opened, port_of
from spikerun.console import ForceOption, JsonOption, QuietOption, emit, live_line, table, talk
from spikerun.errors import UsageError
from spikerun.file import load
from spikerun.live import Live, live
from spikerun.outputs import Outputs
from spikerun.queued import Queued
from spikerun.session import Session
from spikerun.spread import Spread
from spikerun.text import seconds

__all__ = ["stream"]

REFRESH = 0.25  # seconds from one state of the live line to the next
KINDS = (".csv", ".npy")  # of files that are written


class Seen:
    """What the outputs have said so far; classes are those of the first that is read."""

    def __init__(self) -> None:
        self.spikes, self.readings = 0, 0
        self.classes: Counter[int] = Counter()
        self.latest: int | None = None

    def add(self, outputs: Outputs) -> None:
        """Count what was sent."""
        self.spikes += sum(map(len, outputs.spikes.values()))
        self.readings += sum(len(steps) for steps, _ in outputs.readings.values())
        for _, logits in list(outputs.readings.values())[:1]:
            for self.latest in (int(values.argmax()) for values in logits):
                self.classes[self.latest] += 1


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

    Ctrl-C, SIGTERM and SIGHUP end it; outputs and events so far are kept.
    """
    if json and output == "-":
        raise UsageError("--json and -o - both write to standard output: give -o a file")
    _check_names(output, record, force, source, net)
    step_us = step_of(bin)
    network = load(net)
    running = Session(network, threads=threads).stream(step_us, late, counts)
    require_events(running, net)
    shape = network.populations[network.inputs[0]].shape
    with signals() as asked, ExitStack() as stack:
        events = opened(source, format, shape if len(shape) == 3 else None, pace, late)
        if isinstance(events, Queued):
            stack.callback(events.close)
        how = timing(getattr(events, "pace", None) is not None, source, clock, grace, overload, max_lag)
        span_us = None if duration is None else seconds(duration, "--duration") * 1e6
        intake = Intake(events, limit, span_us, recorder(record, force, stack), step_us, how["grace_us"])
        try:
            drive = live(running, intake, warm=warm, **how)
        except KeyboardInterrupt:
            talk("interrupted during the warm start: nothing was written", quiet)
            raise
        sink = sink_of(output, force, network, running.step_ns, stack)
        begin = time.perf_counter()
        seen, error = _driven(drive, intake, sink, asked, output == "-", quiet or json)
        nothing = error is not None and running.t == drive.first_step
        if nothing and isinstance(error, UsageError):
            raise error
    gone = isinstance(error, BrokenPipeError)  # Ctrl-C often ends the reader of our output, too
    found = _found(drive, intake, seen, time.perf_counter() - begin)
    found |= {"network": str(net), "source": source, "step_us": step_us, "interrupted": asked.first > 0}
    found |= {"output": output, "record": record}
    if output == "-" and not nothing and not gone:
        talk(_text(found), quiet)
    elif not nothing and not gone:
        emit("spikerun.stream/1", found, json, lambda: _text(found))
    _say_what_is_kept(output, record, asked, error, quiet)
    if error is not None and not (asked.first and gone):
        raise error
    if asked.first:
        raise ending(asked.first)
    if not drive.taken:
        talk(f"warning: no events came from '{source}'", quiet)


def _say_what_is_kept(
    output: str | None, record: Path | None, asked: Signals, error: Exception | None, quiet: bool
) -> None:
    kept = " and ".join(f"'{one}'" for one in (output, record) if one is not None and str(one) != "-")
    if kept and (asked.first or error):
        gone = isinstance(error, BrokenPipeError)
        why = "interrupted" if asked.first else "the reader has gone" if gone else "ended by an error"
        talk(f"{why}: what came before is in {kept}", quiet)


def _check_names(output: str | None, record: Path | None, force: bool, source: str, net: Path) -> None:
    """Refuse names before anything is opened."""
    files = [Path(output)] if output not in (None, "-") and port_of(output) is None else []
    for file in [*files, *([record] if record is not None else [])]:
        if file.suffix.lower() not in KINDS:
            raise UsageError(f"'{file}' says by its name what is written to it: give one that ends in .csv or .npy")
        require_writable(file, force, keep=(source, net))
    if len(files) == 1 and record is not None and files[0].resolve() == record.resolve():
        raise UsageError(f"outputs and events cannot both be written to '{record}'")


def _driven(
    drive: Live, intake: Intake, sink: Sink | None, asked: Signals, piped: bool, quiet: bool
) -> tuple[Seen, Exception | None]:
    """Drive to the end, or until a signal or an error, after which what has come is run and written."""
    seen = Seen()
    asked.drives(drive, intake)
    try:
        with live_line(quiet) as tell:
            shown, before = time.monotonic(), 0
            for outputs in _unbroken(drive, asked):
                seen.add(outputs)
                if sink is not None and len(outputs):
                    _write(sink, outputs, asked, piped)
                now = time.monotonic()
                if now - shown >= REFRESH:
                    tell(_line(drive, intake, seen, (drive.taken - before) / (now - shown)))
                    shown, before = now, drive.taken
    except Exception as error:  # whatever it is, what came before is kept
        return seen, error
    finally:
        asked.finish()
    return seen, None


def _unbroken(drive: Live, asked: Signals) -> Iterator[Outputs]:
    """Yield what a drive gives, which goes on where it is interrupted (see `spikerun.chunks`)."""
    while True:
        try:
            asked.breakable = True
            for outputs in drive:
                asked.breakable = False
                yield outputs
                asked.breakable = True
            asked.breakable = False
            return
        except KeyboardInterrupt:
            continue


def _write(sink: Sink, outputs: Outputs, asked: Signals, piped: bool) -> None:
    """Write what was sent; a pipe that nobody reads is left after a signal."""
    try:
        asked.breakable = piped
        sink(outputs)
        asked.breakable = False
    except KeyboardInterrupt:
        return


def _line(drive: Live, intake: Intake, seen: Seen, rate: float) -> str:
    parts = [f"{rate / 1e6:.3f} million events/s", f"step {drive.stream.t:,}"]
    if drive.lag.count:
        parts.append(f"lag {drive.lag.last / 1e6:.2f} ms")
    if seen.latest is not None:
        parts.append(f"class {seen.latest}")
    parts.append(f"{seen.spikes:,} spikes")
    lost = drive.dropped + getattr(intake, "lost", 0)
    return "  ".join([*parts, *([f"dropped {lost:,}"] if lost else [])])


def _found(drive: Live, intake: Intake, seen: Seen, took: float) -> dict[str, Any]:
    """Return what there is to say at the end; times in microseconds."""
    stats = drive.stream.stats
    return {
        "events": drive.taken,
        "dropped": drive.dropped,
        "dropped_bins": drive.dropped_bins,
        "late": stats.late,
        "late_dropped": stats.dropped,
        "clipped": stats.clipped,
        "lost_datagrams": getattr(intake, "lost", None),
        "refused_datagrams": getattr(intake, "refused", None),
        "bins": drive.stream.t - drive.first_step,
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
