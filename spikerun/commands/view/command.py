# SPDX-License-Identifier: Apache-2.0
"""`spikerun view`: a stream in a browser."""

import math
import webbrowser
from collections.abc import Iterable
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from spikerun import sources
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
    require_events,
    step_of,
    timing,
)
from spikerun.commands.stream_source import opened, port_of
from spikerun.commands.view.frame import VERSION, Frames, Told
from spikerun.commands.view.server import Server, is_loopback
from spikerun.commands.view.tap import Tap, Tapped
from spikerun.console import JsonOption, QuietOption, emit, table, talk
from spikerun.errors import UsageError
from spikerun.events import EventArray, speed
from spikerun.file import load
from spikerun.live import Live, live
from spikerun.session import Session
from spikerun.sources import Shape
from spikerun.text import plural

__all__ = ["PORT", "view"]

PORT = 8765


def view(
    source: SourceArgument,
    net: NetOption,
    bin: BinOption = "1ms",
    pace: Annotated[
        float | None, typer.Option(help="Replay a recording so many times as fast as it was. Default: 1.0.")
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Begin a recording again at its end, until Ctrl-C.")] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where to serve the page; 0 for any that is free.")
    ] = PORT,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Who reaches it: 0.0.0.0 everybody in the network.")
    ] = "127.0.0.1",
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    format: FormatOption = None,
    clock: ClockOption = "events",
    grace: GraceOption = None,
    overload: OverloadOption = "block",
    max_lag: MaxLagOption = None,
    late: LateOption = "error",
    counts: CountsOption = None,
    warm: WarmOption = 0,
    threads: ThreadsOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run events through a network, as they come, and show it in a browser on this machine.

    Events begin to flow when the first page has come, at the address that is printed. Ctrl-C ends it.
    """
    network = load(net)
    stream = Session(network, threads=threads).stream(step_of(bin), late, counts)
    require_events(stream, net)
    shape = network.populations[network.inputs[0]].shape
    events = _source(source, format, shape if len(shape) == 3 else None, pace, loop, late)
    drive: Live | None = None  # until somebody watches: a warm start takes the first events, and so begins their time
    tap = Tap(stream, lambda: _told(drive))
    how = timing(getattr(events, "pace", None) is not None, source, clock, grace, overload, max_lag)
    step_us = stream.step_ns / 1000
    about = {"version": VERSION, "network": net.name, "source": source, "step_us": step_us}
    server = Server(tap, Frames(network, step_us), about | {"populations": tap.populations}, host, port)
    interrupted = False
    try:
        with server:
            _announce(server, host, open_, json, quiet)
            server.viewer.wait()
            drive = live(stream, Tapped(events, tap), warm=warm, **how)
            for outputs in drive:
                tap.saw(outputs)
    except KeyboardInterrupt:
        interrupted = True
    events_taken, dropped, bins = (drive.taken, drive.dropped, stream.t - drive.first_step) if drive else (0, 0, 0)
    found = {
        "network": str(net), "source": source, "url": server.url, "events": events_taken, "dropped": dropped,
        "bins": bins, "pages": server.visits, "frames": server.frames, "interrupted": interrupted,
    }  # fmt: skip
    emit("spikerun.view/1", found, json, lambda: _text(found))
    if interrupted:
        raise KeyboardInterrupt


def _source(
    where: str, format: str | None, shape: Shape | None, pace: float | None, loop: bool, late: str
) -> Iterable[EventArray]:
    """Return the source; a recording comes at its own speed unless another is asked for."""
    recorded = where != "-" and not where.startswith("camera:") and port_of(where) is None
    if loop and not recorded:
        raise UsageError(f"--loop is for recordings; '{where}' sends what happens now")
    found = opened(where, format, shape, None if recorded else pace, late)
    if not recorded:
        return found
    return sources.paced(sources.repeated(found) if loop else found, speed(1.0 if pace is None else pace, "--pace"))


def _told(drive: Live | None) -> Told:
    if drive is None:
        return Told()
    lag_us = drive.lag.last / 1000 if drive.lag.count else math.nan
    return Told(lag_us, drive.dropped, drive.stream.stats.late)


def _announce(server: Server, host: str, open_: bool, json: bool, quiet: bool) -> None:
    """Say where the page is."""
    if not is_loopback(host):
        talk(
            f"note: whoever reaches port {urlsplit(server.url).port} of this machine can watch, without a password",
            quiet,
        )
    if json:
        talk(server.url, quiet)
    else:
        print(server.url, flush=True)
    talk("begins when the page is there; Ctrl-C ends it", quiet, style="dim")
    if open_ and not webbrowser.open(server.url):
        talk("note: no browser was found to open it", quiet)


def _text(found: dict[str, Any]) -> str:
    rows = [
        ("events", f"{found['events']:,}, of which {found['dropped']:,} were dropped"),
        ("steps", f"{found['bins']:,}"),
        ("shown", f"{plural(found['frames'], 'frame')} to {plural(found['pages'], 'page')}"),
    ]
    return table((), rows)
