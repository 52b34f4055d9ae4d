# SPDX-License-Identifier: Apache-2.0
"""The options that say which events run through which network, and how: shared by stream and view."""

from pathlib import Path
from typing import Annotated

import typer

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
