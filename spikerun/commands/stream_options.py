# SPDX-License-Identifier: Apache-2.0
"""The options that say which events run through which network, and how: shared by stream and view."""

from pathlib import Path
from typing import Annotated, Any

import typer

from spikerun.errors import UsageError, unknown_name
from spikerun.events import nanoseconds
from spikerun.live import CLOCKS
from spikerun.overload import OVERLOAD
from spikerun.stream import Stream
from spikerun.text import seconds

__all__ = [
    "BinOption",
    "ClockOption",
    "CountsOption",
    "FormatOption",
    "GraceOption",
    "LateOption",
    "MaxLagOption",
    "NetOption",
    "OverloadOption",
    "SourceArgument",
    "WarmOption",
    "require_events",
    "step_of",
    "timing",
]

SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A recording (see --format); - is standard input; udp://:PORT datagrams to this computer; camera: or "
        "camera:SERIAL an event camera.",
    ),
]
NetOption = Annotated[Path, typer.Option("--net", metavar="NETWORK", help="A .snn file that takes events.")]
BinOption = Annotated[str, typer.Option("--bin", metavar="TIME", help="How long a step of the network is.")]
FormatOption = Annotated[
    str | None,
    typer.Option("--format", help="Of a recording, if its name does not say it; of - records (the default) or csv."),
]
ClockOption = Annotated[str, typer.Option("--clock", help="Bins close by events alone, or by the wall clock too.")]
LateOption = Annotated[
    str, typer.Option("--late", help="Events of steps before those of others, or done: error, clamp or drop.")
]
CountsOption = Annotated[
    str | None,
    typer.Option(
        "--counts", help="Several events of a place in a step: clip (one spike) or graded. Default: as the input takes."
    ),
]
GraceOption = Annotated[
    str | None, typer.Option("--grace", metavar="TIME", help="How long after their end the clock closes bins: at once.")
]
OverloadOption = Annotated[
    str,
    typer.Option("--overload", help="Where time is short: block, drop_tail, drop_bin or latest (docs/streams.md)."),
]
MaxLagOption = Annotated[
    str | None,
    typer.Option("--max-lag", metavar="TIME", help="From which lag on events are dropped: two bins."),
]
WarmOption = Annotated[
    int, typer.Option("--warm", min=0, help="Begin as if the first bin had been there so many times.")
]


def require_events(stream: Stream, net: Path) -> None:
    """Refuse a network that takes no events of a camera, before anything is opened."""
    if stream.why_no_camera:
        raise UsageError(
            f"'{net}' takes no events of a camera: {stream.why_no_camera}; give a network with one input (C, H, W) of "
            "code 'spikes' or 'frames'; others take samples (spikerun run), or steps in Python (Session.stream)"
        )


def step_of(bin: str) -> float:
    """Return the duration of a step in microseconds. Raises UsageError for one that can be none."""
    step_us = seconds(bin, "--bin") * 1e6
    try:
        nanoseconds(step_us)
    except UsageError:
        raise UsageError(f"--bin is a whole number of nanoseconds, and at most 1000 s, got '{bin}'") from None
    return step_us


def timing(
    in_time: bool, source: str, clock: str, grace: str | None, overload: str, max_lag: str | None
) -> dict[str, Any]:
    """Return what `live` takes of these options, and refuse in their words what it would not take.

    in_time: whether the source comes in time
    """
    for option, value, known in (("clock", clock, CLOCKS), ("overload", overload, OVERLOAD)):
        if value not in known:
            raise unknown_name(option, value, known)
    if not in_time and clock == "wall":
        raise UsageError(f"--clock wall needs a source that comes in time: give '{source}' a speed, such as --pace 1.0")
    if not in_time and overload != "block":
        raise UsageError(
            f"--overload {overload} needs a source that comes in time: give '{source}' a speed, such as --pace 1.0"
        )
    if overload == "block" and max_lag is not None:
        raise UsageError("--overload block drops nothing, however late: leave --max-lag out, or choose another")
    return {
        "clock": clock,
        "grace_us": 0.0 if grace is None else seconds(grace, "--grace", none=True) * 1e6,
        "overload": overload,
        "max_lag_us": None if max_lag is None else seconds(max_lag, "--max-lag", none=True) * 1e6,
    }
